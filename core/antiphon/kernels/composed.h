// The operations of ops.h composed of LibTorch's: for devices and dtypes without a kernel, and as the reference for the
// kernels' tests.
#pragma once
#include <antiphon/kernels/float8.h>
#include <antiphon/kernels/ops.h>

namespace antiphon::kernels::composed {

// The factor 0 or 1 / (1 - p) of each value, [rows, columns] in `options`' dtype and on its device.
at::Tensor dropout_factors(int64_t rows, int64_t columns, const DropoutMask& mask, const at::TensorOptions& options);

Normalized rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);
at::Tensor rms_norm_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& rstd);
at::Tensor rms_norm_weight_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& rstd,
                                    at::ScalarType dtype);
at::Tensor rope(const at::Tensor& x, const at::Tensor& cos_td, const at::Tensor& sin_td, double sign);
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);
std::pair<at::Tensor, at::Tensor> swiglu_backward(const at::Tensor& grad, const at::Tensor& gate, const at::Tensor& up);
CrossEntropy cross_entropy(const at::Tensor& logits, const at::Tensor& labels, bool gradient);
Float8 to_float8(const at::Tensor& x, const at::Tensor& scale, at::ScalarType format, Float8Wanted wanted);
void append_kv(const at::Tensor& k, const at::Tensor& v, const at::Tensor& keys, const at::Tensor& values,
               const at::Tensor& slots);
at::Tensor decode_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const at::Tensor& blocks, const at::Tensor& lengths, int64_t window);

}  // namespace antiphon::kernels::composed
