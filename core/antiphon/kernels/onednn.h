// oneDNN's product for a linear layer, with a matrix packed beforehand into its layout. No gradients.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::kernels::onednn {

// Whether LibTorch was built with it and its bfloat16 products are faster than float32: the processor has bfloat16
// products in hardware.
bool has_bfloat16();

// x [..., in] of bfloat16, w [out, in] dense or packed(), bias [out] or undefined -> [..., out].
at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias);

// w [out, in] in the layout that the kernels read for about `rows` rows of x; opaque, and valid for any number of them.
at::Tensor packed(const at::Tensor& w, int64_t rows);

}  // namespace antiphon::kernels::onednn
