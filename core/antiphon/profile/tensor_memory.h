// The memory of tensors of one kind of device, counted as it is allocated and given back.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace antiphon::profile {

// Bytes. What was allocated before count_tensors() is not in it, nor what no tensor has: code, threads' stacks, the
// scratch memory of products, mapped files.
struct TensorMemory {
  int64_t now = 0, most = 0;
};

// From now on, for the rest of the process, and only the first time: kCPU, or kMeta, whose tensors have shapes and no
// memory, so that this is what they would take. Each allocation is rounded up to `unit` bytes.
void count_tensors(c10::DeviceType type, int64_t unit = 64);
TensorMemory tensor_memory();

// Within it what this thread allocates does not count, whoever gives it back: what is read and prepared lies in the
// host's memory, wherever the model is.
class NotCounted {
 public:
  NotCounted();
  ~NotCounted();
  NotCounted(const NotCounted&) = delete;
};

// The most from now on.
void forget_most();

}  // namespace antiphon::profile
