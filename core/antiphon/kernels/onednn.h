// oneDNN's product of a linear layer, which LibTorch holds but calls for bfloat16 alone. No gradients.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::kernels::onednn {

// Whether LibTorch was built with it and it has kernels of AVX2 or AVX-512 here: on AMD's processors they take a tenth
// to a half less time than MKL's.
bool available();

// Whether its products of bfloat16 are faster than those of float32: the processor multiplies bfloat16 by itself.
bool has_bfloat16();

// x [..., in] of float32 or bfloat16, w [out, in] dense or packed(), of the same type, bias [out] or undefined ->
// [..., out].
at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias);

// w [out, in] as the kernels for about `rows` rows of x read it; opaque, and good for any number of them.
at::Tensor packed(const at::Tensor& w, int64_t rows);

}  // namespace antiphon::kernels::onednn
