// oneDNN's product of a linear layer with a matrix that was put into its order before. No gradients.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::kernels::onednn {

// Whether LibTorch was built with it and its products of bfloat16 are faster than those of float32: the processor
// multiplies bfloat16 by itself.
bool has_bfloat16();

// x [..., in] of bfloat16, w [out, in] dense or packed(), bias [out] or undefined -> [..., out].
at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias);

// w [out, in] as the kernels for about `rows` rows of x read it; opaque, and good for any number of them.
at::Tensor packed(const at::Tensor& w, int64_t rows);

}  // namespace antiphon::kernels::onednn
