// Quotas of cgroups, as the kernel writes them, in a folder that stands for the root.
#include <antiphon/early/cpu_quota.h>
#include <antiphon/early/settings.h>

#include <unistd.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

using antiphon::early::cpu_quota;

namespace {

class Root {
 public:
  Root() : path_(std::filesystem::temp_directory_path() / ("antiphon-quota-" + std::to_string(getpid()))) {
    std::filesystem::remove_all(path_);
  }
  ~Root() { std::filesystem::remove_all(path_); }
  Root& file(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    return *this;
  }
  const char* path() const { return path_.c_str(); }
  double quota() const { return cpu_quota(path()); }

 private:
  std::filesystem::path path_;
};

const std::string kSecond = "31 24 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
const std::string kFirst =
    "33 32 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "34 32 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

}  // namespace

TEST_CASE("the quota of a cgroup, version 2") {
  Root root;
  root.file("proc/self/mountinfo", kSecond).file("proc/self/cgroup", "0::/a/b\n");
  CHECK(root.quota() == 0);
  root.file("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  CHECK(root.quota() == 0);
  root.file("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
  CHECK(root.quota() == Catch::Approx(1.5));
  root.file("sys/fs/cgroup/a/cpu.max", "50000 100000\n");  // the parent's counts too
  CHECK(root.quota() == Catch::Approx(0.5));
  root.file("sys/fs/cgroup/a/cpu.max", "not a number\n");
  CHECK(root.quota() == Catch::Approx(1.5));
}

TEST_CASE("the quota of the cgroup that a container sees as its root") {
  Root root;
  root.file("proc/self/mountinfo", kSecond).file("proc/self/cgroup", "0::/\n");
  root.file("sys/fs/cgroup/cpu.max", "200000 100000\n");
  CHECK(root.quota() == Catch::Approx(2));
}

TEST_CASE("the quota of a cgroup, version 1") {
  Root root;
  root.file("proc/self/mountinfo", kFirst);
  root.file("proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc/x\n0::/\n");
  CHECK(root.quota() == 0);
  root.file("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
  root.file("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
  CHECK(root.quota() == 0);
  root.file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n");
  root.file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  CHECK(root.quota() == Catch::Approx(2.5));
}

TEST_CASE("no cgroup and odd files are not a quota") {
  CHECK(Root().quota() == 0);
  Root root;
  root.file("proc/self/mountinfo", "\n- - -\nx - cgroup2\n" + std::string(20000, 'x'))
      .file("proc/self/cgroup", "\n:\n0::\n::::");
  CHECK(root.quota() == 0);
  CHECK(antiphon::early::processors() >= 1);
  CHECK(antiphon::early::processors(0.5) == 1);
  CHECK(antiphon::early::processors(1e6) == antiphon::early::processors(0));
}

TEST_CASE("a kernel whose sets are larger than 1,024 processors") {
  const auto kernel = [](pid_t, size_t bytes, cpu_set_t* set) {
    if (bytes < 4096 / 8) return errno = EINVAL, -1;
    CPU_ZERO_S(bytes, set);
    for (int i = 0; i < 1500; ++i) CPU_SET_S(2 * i, bytes, set);
    return 0;
  };
  CHECK(antiphon::early::processors(0, kernel) == 1500);
  CHECK(antiphon::early::processors(12.5, kernel) == 13);
  CHECK(antiphon::early::processors(0, [](pid_t, size_t, cpu_set_t*) { return errno = EPERM, -1; }) == 1);
}

TEST_CASE("spinning is bounded unless the user says how to wait") {
  const char* names[] = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"};
  for (const auto* name : names) unsetenv(name);
  CHECK(antiphon::early::settle());
  CHECK(std::getenv("GOMP_SPINCOUNT"));
  setenv("GOMP_SPINCOUNT", "7", 1);
  antiphon::early::settle();
  CHECK(std::string(std::getenv("GOMP_SPINCOUNT")) == "7");
  unsetenv("GOMP_SPINCOUNT");
  setenv("OMP_WAIT_POLICY", "PASSIVE", 1);
  antiphon::early::settle();
  CHECK_FALSE(std::getenv("GOMP_SPINCOUNT"));
  unsetenv("OMP_WAIT_POLICY");
}

TEST_CASE("huge pages are asked for unless the user tunes the C library") {
  unsetenv("GLIBC_TUNABLES");
  CHECK(antiphon::early::settle());
  REQUIRE(std::getenv("GLIBC_TUNABLES"));
  CHECK(std::string(std::getenv("GLIBC_TUNABLES")) == "glibc.malloc.hugetlb=1");
  setenv("GLIBC_TUNABLES", "glibc.malloc.check=0", 1);
  antiphon::early::settle();
  CHECK(std::string(std::getenv("GLIBC_TUNABLES")) == "glibc.malloc.check=0");
  unsetenv("GLIBC_TUNABLES");
}

TEST_CASE("a quota is the number of threads unless the user says one") {
  Root root;
  root.file("proc/self/mountinfo", kSecond).file("proc/self/cgroup", "0::/\n");
  root.file("sys/fs/cgroup/cpu.max", "70000 100000\n");
  unsetenv("OMP_NUM_THREADS");
  CHECK(antiphon::early::settle(root.path()));
  REQUIRE(std::getenv("OMP_NUM_THREADS"));
  CHECK(std::string(std::getenv("OMP_NUM_THREADS")) == "1");
  setenv("OMP_NUM_THREADS", "5", 1);
  antiphon::early::settle(root.path());
  CHECK(std::string(std::getenv("OMP_NUM_THREADS")) == "5");
  unsetenv("OMP_NUM_THREADS");
}
