// oneDNN's product of a linear layer, which LibTorch holds but calls for bfloat16 alone. No gradients.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::kernels::onednn {

// Whether LibTorch was built with it and it has kernels of AVX-512 here.
bool available();

// x [..., in] of float32 or bfloat16, w [out, in] dense or packed(), of the same type, bias [out] or undefined ->
// [..., out].
at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias);

// w [out, in] as the kernels for about `rows` rows of x read it; opaque, and good for any number of them.
at::Tensor packed(const at::Tensor& w, int64_t rows);

}  // namespace antiphon::kernels::onednn
