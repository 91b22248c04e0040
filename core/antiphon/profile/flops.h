// Counts the floating point operations of matrix products, convolutions and attention, and adds them to the trace.
//
// Products that go through LibTorch's dispatcher are seen there; those of our own kernels (kernels/mm.h, attention of
// float32) report their own. What the row kernels do (norms, rotations, softmax, gates) is not counted, as is usual. A
// product of [m, k] and [k, n] counts 2 m k n; attention under a causal mask counts the half that is not masked.
#pragma once
#include <cstdint>

namespace antiphon::profile {

// Counts while it lives, on all threads; operations belong to the innermost TraceScope of their thread.
class FlopCounter {
 public:
  FlopCounter();
  ~FlopCounter();
  FlopCounter(const FlopCounter&) = delete;

 private:
  uint64_t handle_;
};

}  // namespace antiphon::profile
