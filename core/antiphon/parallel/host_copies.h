// Copies between a device and the host's memory, beside what the device computes. Used inside this area.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

namespace antiphon::parallel {

// On a GPU they have a stream of their own, and the host's side of them is pinned memory; on the CPU they are made at
// once; on the meta device there is nothing to copy.
class HostCopies {
 public:
  HostCopies();
  ~HostCopies();
  // to.copy_(from), after all that the current stream has been given so far. Both are kept until it has ended.
  void begin(const at::Tensor& to, const at::Tensor& from);
  // What the current stream is given from now on comes after all copies that were begun.
  void wait_on_device();
  // Until all of them have ended.
  void wait();

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;  // of a GPU, from the first copy on
};

}  // namespace antiphon::parallel
