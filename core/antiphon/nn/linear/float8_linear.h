// Linear layers whose products are in FP8: e4m3 for activations and weights, e5m2 for gradients, one scale per tensor,
// sums in float32. Parameters, their gradients and everything between the products keep their dtype. NeMo:
// `fp8 = hybrid` with the recipe `tensorwise` (nemo/collections/llm/recipes/precision/mixed_precision.py).
#pragma once
#include <antiphon/kernels/float8.h>
#include <antiphon/nn/linear/of_weight.h>

namespace antiphon::nn {

// A weight [out, in] in FP8, converted again when the weight has changed; thread-safe.
class Float8Weight {
 public:
  // Whether a weight can be used in FP8 products: a matrix whose sides are multiples of kernels::kFloat8Tile.
  static bool fits(const at::Tensor& weight);
  kernels::Float8 of(const at::Tensor& weight);

 private:
  OfWeight<kernels::Float8> made_;
};

// x [..., in], weight [out, in] float32 or bfloat16, bias [out] in x's dtype or undefined -> [..., out] in x's dtype;
// differentiable. x and the gradient must not be empty.
at::Tensor float8_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Float8Weight& kept);

}  // namespace antiphon::nn
