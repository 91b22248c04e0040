// How much memory this process may still take on this machine.
#pragma once
#include <string>

namespace antiphon::run {

struct MemoryLimit {
  double bytes = 0;
  std::string reason;  // "free memory of this machine", "what the cgroup /a/b has left"
};

// The least of what the kernel calls available (MemAvailable) and of what each cgroup of this process, version 1 or 2,
// has left of its limit: what it holds of files that can be read again does not count. `root` stands for "/".
// Error(internal) if the kernel says nothing.
MemoryLimit memory_limit(const std::string& root = "");

}  // namespace antiphon::run
