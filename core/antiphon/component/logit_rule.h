// What a language model makes of the products of its hidden states with its head.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon {

// logits = multiplier · product; with a cap, cap · tanh(that / cap) (Gemma 2, Team et al. 2024).
struct LogitRule {
  double multiplier = 1, cap = 0;  // cap 0: none

  bool any() const { return multiplier != 1 || cap > 0; }
  // Differentiable; in the dtype of the products, rounded there after each step, as the reference does.
  at::Tensor applied(const at::Tensor& products) const;
  // d logits / d products, of logits that applied() gave.
  at::Tensor slope(const at::Tensor& logits) const;
};

}  // namespace antiphon
