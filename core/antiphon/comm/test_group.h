// Groups of processes in tests: a test starts its program once for each of them, which then runs the hidden case that
// it names. $ANTIPHON_TEST_DEVICE: on which device; all processes have the same GPU then, and NCCL_HOSTID makes NCCL
// believe that each has one on a machine of its own.
#pragma once
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ATen/ATen.h>

#include <antiphon/comm/group.h>
#include <antiphon/comm/place.h>

#include <cstdlib>
#include <string>
#include <vector>

extern char** environ;

namespace antiphon::comm::testing {

// How many of these processes did not end well.
inline int run_group(int size, const std::string& name) {
  int port = 0;
  const int listener = listen_at("127.0.0.1", port);
  std::vector<pid_t> children;
  for (int rank = 0; rank < size; ++rank) {
    setenv("RANK", std::to_string(rank).c_str(), 1), setenv("WORLD_SIZE", std::to_string(size).c_str(), 1);
    setenv("MASTER_ADDR", "127.0.0.1", 1), setenv("MASTER_PORT", std::to_string(port).c_str(), 1);
    setenv("OMP_NUM_THREADS", "1", 1), setenv("NCCL_HOSTID", std::to_string(rank).c_str(), 1);
    if (rank == 0) {  // it takes the port over, as from `antiphon launch`
      fcntl(listener, F_SETFD, 0), setenv(kListener, std::to_string(listener).c_str(), 1);
    }
    std::string program = "member", which = name;
    char* words[] = {program.data(), which.data(), nullptr};
    posix_spawn(&children.emplace_back(), "/proc/self/exe", nullptr, nullptr, words, environ);
    if (rank == 0) close(listener), unsetenv(kListener);
  }
  for (const char* variable : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NCCL_HOSTID"}) unsetenv(variable);
  int failed = 0;
  for (const auto child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    failed += !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  return failed;
}

inline Place my_place() {
  auto place = place_from_environment();
  place.timeout = std::chrono::seconds(20);
  return place;
}

inline c10::Device test_device() {
  const char* name = std::getenv("ANTIPHON_TEST_DEVICE");
  if (!name || std::string(name) != "cuda") return c10::kCPU;
  static void* const opened = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  return opened ? c10::Device(c10::kCUDA, 0) : c10::Device(c10::kCPU);
}

// Whether all processes of the group have called the same so far.
inline bool same_ledger(Group& group) {
  const auto ledger = at::tensor({static_cast<int64_t>(group.ledger().hash())}, at::kLong), largest = ledger.clone(),
             smallest = ledger.neg();
  group.largest(largest), group.largest(smallest);
  return at::equal(ledger, largest) && at::equal(ledger.neg(), smallest);
}

}  // namespace antiphon::comm::testing
