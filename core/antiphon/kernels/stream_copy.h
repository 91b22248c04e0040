// Copies data that will not be read again soon.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::kernels {

// `to` = `from`, of the same shape, on all threads. Bypasses the caches if both are dense, on the CPU and of one type:
// a store through them reads the line first, so a plain copy moves half as many bytes again.
void stream_copy(const at::Tensor& to, const at::Tensor& from);

}  // namespace antiphon::kernels
