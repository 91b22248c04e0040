// Matrix products by the library that is fastest at them here.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::kernels {

// Whether x [..., in] times w [out, in] is for oneDNN: float32 on a CPU with AVX-512 (there it takes half the time of
// MKL on AMD's), and large enough for a kernel of its own. LibTorch sends bfloat16 there itself.
bool is_fast_linear(const at::Tensor& x, const at::Tensor& w);

// a [n, k] times b [k, m] -> [n, m], as at::mm; by oneDNN where that is fast and no gradient is wanted.
at::Tensor mm(const at::Tensor& a, const at::Tensor& b);

// Multiplications from which on a product is large enough: 1 << 20 unless set, as tests do. Returns what it was.
int64_t set_smallest_fast_mm(int64_t multiplications);

}  // namespace antiphon::kernels
