// See ../README.md. c10d's header calls this function in a body of its own, which ours never reach.
#pragma once
#include <chrono>

namespace gloo {
class Context {
 public:
  std::chrono::milliseconds getTimeout() const;
  void setTimeout(std::chrono::milliseconds timeout);
};
}  // namespace gloo
