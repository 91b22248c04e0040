// A matrix stored in 8 or 4 bits, for inference on the CPU. Values are symmetric around zero, with one bfloat16 scale
// per 32 values of a row (as in ggml's Q8_0 and Q4_0); activations are not quantised.
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/kernels/decode.h>

#include <string>

namespace antiphon::nn {

struct QuantizedWeight {
  kernels::WeightFormat format;
  int64_t out = 0, in = 0;
  at::Tensor values, scales;  // laid out as kernels/decode.h says

  // Whether a matrix [out, in] can be stored so: both sides are multiples of what the layout interleaves.
  static bool fits(const at::Tensor& weight);
  // `format` is "int8" or "int4". Scales are chosen for the least squared error of their 32 weights.
  static QuantizedWeight of(const at::Tensor& weight, const std::string& format);

  kernels::Matrix matrix() const;
  // [out, in], float32, bfloat16 or float16; a transposed view.
  at::Tensor dequantized(at::ScalarType dtype) const;
  // ids [n] int64 -> those rows [n, in].
  at::Tensor rows(const at::Tensor& ids, at::ScalarType dtype) const;
  int64_t bytes() const { return static_cast<int64_t>(values.nbytes() + scales.nbytes()); }
};

// x [..., in], bias [out] in x's dtype or undefined -> [..., out]; differentiable with respect to x and the bias,
// without keeping the weight in x's dtype for the backward pass.
at::Tensor quantized_linear(const at::Tensor& x, const QuantizedWeight& weight, const at::Tensor& bias);

}  // namespace antiphon::nn
