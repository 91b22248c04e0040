// Copying what will not be read again soon.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::kernels {

// `to` = `from`, of the same shape, on all threads. Where both are dense, on the CPU and of one type, past the caches:
// a store that goes through them reads the line first, so that a plain copy moves half as many bytes again.
void stream_copy(const at::Tensor& to, const at::Tensor& from);

}  // namespace antiphon::kernels
