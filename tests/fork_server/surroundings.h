// What a program has from who starts it, between fork_client.cpp and fork_server.cpp.
#pragma once
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

namespace fork_server {

constexpr int kMostFiles = 64;
constexpr int kLimits = RLIM_NLIMITS;

// Sent with the files themselves; `text` bytes follow: words, then the environment, each ended by a zero.
struct Request {
  uint32_t text = 0, words = 0, variables = 0;
  int32_t files = 0;              // besides the working directory, which comes first
  int32_t numbers[kMostFiles]{};  // of the files
  mode_t mask = 0;
  sigset_t blocked{}, ignored{};  // signals
  // These must be the server's own: nobody gives them to a process that runs already.
  struct Fixed {
    rlimit limits[kLimits]{};
    cpu_set_t processors{};
    pid_t session = 0;
    uid_t user = 0;
    gid_t group = 0;
    int32_t nice = 0;
    ino_t spaces[6]{};     // namespaces
    uint64_t cgroups = 0;  // a hash of their names
  } fixed;
};

// The server answers with the child's process id, 0 if it refuses, and at the child's end with its status as of
// waitpid.

// Those that are ignored here, which stay so in a program that is started.
inline sigset_t ignored_here() {
  sigset_t ignored;
  sigemptyset(&ignored);
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) sigaddset(&ignored, signal);
  }
  return ignored;
}

inline Request::Fixed fixed_here() {
  Request::Fixed fixed;
  std::memset(static_cast<void*>(&fixed), 0, sizeof fixed);
  for (int i = 0; i < kLimits; ++i) getrlimit(static_cast<__rlimit_resource>(i), &fixed.limits[i]);
  sched_getaffinity(0, sizeof fixed.processors, &fixed.processors);
  fixed.session = getsid(0);
  fixed.user = geteuid(), fixed.group = getegid();
  int count = 0;
  for (const char* space : {"net", "mnt", "pid", "user", "uts", "ipc"}) {
    struct stat facts {};
    stat((std::string("/proc/self/ns/") + space).c_str(), &facts);
    fixed.spaces[count++] = facts.st_ino;
  }
  std::ifstream cgroups("/proc/self/cgroup");
  fixed.cgroups = std::hash<std::string>()({std::istreambuf_iterator<char>(cgroups), {}});
  fixed.nice = getpriority(PRIO_PROCESS, 0);
  return fixed;
}

// False at the end of the file.
inline bool read_all(int file, void* to, size_t bytes) {
  for (auto* next = static_cast<char*>(to); bytes > 0;) {
    const ssize_t got = read(file, next, bytes);
    if (got <= 0) return false;
    next += got, bytes -= static_cast<size_t>(got);
  }
  return true;
}

}  // namespace fork_server
