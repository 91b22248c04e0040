// Matrix products of float32 on the CPU by the kernels of matmul.h; LibTorch's for all else.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::kernels {

// Whether linear() takes x [..., in] times w [out, in]: both float32 on a CPU with AVX2 or AVX-512, and enough work.
bool is_fast_linear(const at::Tensor& x, const at::Tensor& w);

// Whether linear(), mm() and add_mm() take w as it is although it is bfloat16 and x is float32: on the CPU, and no
// gradient of w is wanted. The product is that of w in float32 at half its memory.
bool is_widened(const at::Tensor& x, const at::Tensor& w);

// x [..., in] times w [out, in], plus bias [out] or undefined -> [..., out]; is_fast_linear() or is_widened(). No
// gradients.
at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias);

// a [m, k] times b [k, n] -> [m, n], as at::mm. b may be a widened bfloat16 matrix or its transpose.
at::Tensor mm(const at::Tensor& a, const at::Tensor& b);

// c [m, n] += a [m, k] times b [k, n]. No gradients.
void add_mm(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b);

// The scratch memory of matmul_kernel().run() (matmul.h) on this thread.
float* scratch_of_thread();

// Sets from how many multiplications on a float32 product is large enough: 1 << 18 unless set (by tests). Returns the
// old value.
int64_t set_smallest_fast_mm(int64_t multiplications);

}  // namespace antiphon::kernels
