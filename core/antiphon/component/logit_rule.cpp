#include <antiphon/component/logit_rule.h>

#include <ATen/ATen.h>

namespace antiphon {

at::Tensor LogitRule::applied(const at::Tensor& products) const {
  const auto y = multiplier == 1 ? products : products * multiplier;
  return cap > 0 ? (y / cap).tanh() * cap : y;
}

at::Tensor LogitRule::slope(const at::Tensor& logits) const {
  if (cap <= 0) return at::full({}, multiplier, logits.options());
  return (1 - (logits / cap).square()) * multiplier;
}

}  // namespace antiphon
