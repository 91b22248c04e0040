// Products of a few rows on the CPU, where reading the matrix is all the work: decoding. No gradients.
#pragma once
#include <antiphon/kernels/decode.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::nn {

constexpr int64_t kFewRows = 8;

// Whether multiply_few_rows takes x [..., in]: on the CPU, float32 or bfloat16, at most kFewRows, no gradient wanted,
// and a matrix of the same dtype, a widened (kernels/mm.h) or a quantised one, without an adapter or with one of low
// rank.
bool fits_few_rows(const at::Tensor& x, const at::Tensor& weight);
bool fits_few_rows(const at::Tensor& x, const Linear& linear);

kernels::Matrix matrix_of(const at::Tensor& weight);
kernels::Matrix matrix_of(const Linear& linear);

// x [..., in] -> [..., out] in x's dtype; bias [out] or undefined.
at::Tensor multiply_few_rows(const at::Tensor& x, const kernels::Matrix& matrix, const at::Tensor& bias);
// The layer's, with what its adapter adds.
at::Tensor multiply_few_rows(const at::Tensor& x, const Linear& linear);

}  // namespace antiphon::nn
