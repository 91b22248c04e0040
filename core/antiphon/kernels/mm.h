// Matrix products by the library that is fastest at them here.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::kernels {

// Whether x [..., in] times w [out, in] is for oneDNN: both float32 on a CPU with AVX2 or AVX-512 (there it takes less
// time than MKL on AMD's processors), and large enough for a kernel of its own. LibTorch sends bfloat16 there itself.
bool is_fast_linear(const at::Tensor& x, const at::Tensor& w);

// Whether linear() and mm() take w as it is although it is bfloat16 and x is float32: on the CPU, and no gradient of w
// is wanted. They widen it tile by tile, so the product is that of w in float32 at half its memory.
bool is_widened(const at::Tensor& x, const at::Tensor& w);

// x [..., in] times w [out, in], plus bias [out] or undefined -> [..., out]; is_fast_linear() or is_widened(). No
// gradients.
at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias);

// a [n, k] times b [k, m] -> [n, m], as at::mm; by oneDNN if that is fast and no gradient is wanted. b may be a widened
// bfloat16 matrix or its transpose.
at::Tensor mm(const at::Tensor& a, const at::Tensor& b);

// Multiplications from which on a product is large enough: 1 << 20 unless set, as tests do. Returns what it was.
int64_t set_smallest_fast_mm(int64_t multiplications);

}  // namespace antiphon::kernels
