// Linear layers whose products are in FP8: e4m3 for activations and weights, e5m2 for gradients, one scale per tensor,
// sums in float32. Parameters, their gradients and everything between the products keep their dtype. NeMo:
// `fp8 = hybrid` with the recipe `tensorwise` (nemo/collections/llm/recipes/precision/mixed_precision.py).
#pragma once
#include <antiphon/comm/group.h>
#include <antiphon/kernels/float8.h>
#include <antiphon/nn/linear/of_weight.h>

namespace antiphon::nn {

struct Float8Options {
  // Processes that have some of the tokens or of the weight each: one scale for all of them, and every one of them
  // computes each product, also of no tokens. nullptr: this process has all.
  comm::Group* together = nullptr;
  // The weight is kept in FP8 until it changes; else it is converted in each pass, the backward one as well.
  bool keeps_weight = true;
};

// A weight [out, in] in FP8; thread-safe.
class Float8Weight {
 public:
  explicit Float8Weight(const Float8Options& options) : options_(options) {}
  // Whether a weight can be used in FP8 products: a matrix whose sides are multiples of kernels::kFloat8Tile.
  static bool fits(const at::Tensor& weight);
  kernels::Float8 of(const at::Tensor& weight);
  const Float8Options& options() const { return options_; }

 private:
  Float8Options options_;
  OfWeight<kernels::Float8> made_;
};

// x [..., in], weight [out, in] float32 or bfloat16, bias [out] in x's dtype or undefined -> [..., out] in x's dtype;
// differentiable.
at::Tensor float8_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Float8Weight& kept);

}  // namespace antiphon::nn
