// Memory as the kernel states it, in a folder that stands for the root.
#include <antiphon/run/memory_limit.h>

#include <antiphon/base/error.h>

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <fstream>

using antiphon::run::memory_limit;

namespace {

class Root {
 public:
  Root() : path_(std::filesystem::temp_directory_path() / ("antiphon-memory-" + std::to_string(getpid()))) {
    std::filesystem::remove_all(path_);
    file("proc/meminfo", "MemTotal: 2000 kB\nMemFree: 10 kB\nMemAvailable:     1000 kB\n");
  }
  ~Root() { std::filesystem::remove_all(path_); }
  Root& file(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    return *this;
  }
  antiphon::run::MemoryLimit limit() const { return memory_limit(path_.string()); }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("memory limit: without a cgroup, what the machine has available") {
  Root root;
  CHECK(root.limit().bytes == 1000 * 1024);
  CHECK(root.limit().reason == "free memory of this machine");
  root.file("proc/self/cgroup", "0::/a/b\n");
  CHECK(root.limit().bytes == 1000 * 1024);
  root.file("sys/fs/cgroup/a/b/memory.max", "max\n").file("sys/fs/cgroup/a/b/memory.current", "4096\n");
  CHECK(root.limit().bytes == 1000 * 1024);
}

TEST_CASE("memory limit: of a cgroup of version 2 and of those above it, less what it holds but for files") {
  Root root;
  root.file("proc/self/cgroup", "0::/a/b\n")
      .file("sys/fs/cgroup/a/b/memory.max", "900000\n")
      .file("sys/fs/cgroup/a/b/memory.current", "500000\n")
      .file("sys/fs/cgroup/a/b/memory.stat", "anon 1\ninactive_file 100000\nactive_file 7\n");
  CHECK(root.limit().bytes == 500000);
  CHECK(root.limit().reason == "what the cgroup /a/b has left");
  root.file("sys/fs/cgroup/a/memory.max", "600000\n").file("sys/fs/cgroup/a/memory.current", "550000\n");
  CHECK(root.limit().bytes == 50000);
  CHECK(root.limit().reason == "what the cgroup /a has left");
  root.file("sys/fs/cgroup/a/memory.current", "650000\n");
  CHECK(root.limit().bytes == 0);
}

TEST_CASE("memory limit: of a container, which sees its own cgroup as the root; of version 1") {
  Root root;
  root.file("proc/self/cgroup", "5:cpu:/x\n4:hugetlb,memory:/docker/abc\n")
      .file("sys/fs/cgroup/memory/memory.limit_in_bytes", "800000\n")
      .file("sys/fs/cgroup/memory/memory.usage_in_bytes", "300000\n")
      .file("sys/fs/cgroup/memory/memory.stat", "inactive_file 5\ntotal_inactive_file 20000\n");
  CHECK(root.limit().bytes == 520000);
  CHECK(root.limit().reason == "what the cgroup / has left");
}

TEST_CASE("memory limit: files that say nothing") {
  Root root;
  root.file("proc/self/cgroup", "nonsense\n0::/a\n").file("sys/fs/cgroup/a/memory.max", "x\n");
  CHECK(root.limit().bytes == 1000 * 1024);
  root.file("proc/meminfo", "MemTotal: 5 kB\n");
  CHECK_THROWS_AS(root.limit(), antiphon::Error);
}
