// Products of small batches on the CPU, for decoding, where reading the matrix dominates. No gradients.
#pragma once
#include <antiphon/kernels/decode.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::nn {

constexpr int64_t kFewRows = 8;

// Whether multiply_few_rows takes x [..., in]: on the CPU, float32 or bfloat16, at most kFewRows, no gradient wanted,
// and a matrix that has the same dtype, is widened (kernels/mm.h) or is quantised; of a layer with no adapter or a
// low-rank one.
bool fits_few_rows(const at::Tensor& x, const at::Tensor& weight);
bool fits_few_rows(const at::Tensor& x, const Linear& linear);
// The same for the layer's own product, whatever adapters it has.
bool base_fits_few_rows(const at::Tensor& x, const Linear& linear);

kernels::Matrix matrix_of(const at::Tensor& weight);
kernels::Matrix matrix_of(const Linear& linear);

// x [..., in] -> [..., out] in x's dtype; bias [out] or undefined.
at::Tensor multiply_few_rows(const at::Tensor& x, const kernels::Matrix& matrix, const at::Tensor& bias);
// The same for a layer, including what its adapter adds.
at::Tensor multiply_few_rows(const at::Tensor& x, const Linear& linear);

}  // namespace antiphon::nn
