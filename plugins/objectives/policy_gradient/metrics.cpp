#include "metrics.h"

#include <ATen/ATen.h>

#include "advantages.h"

namespace antiphon::policy_gradient {
namespace {

// Means over the tokens that count.
class OfTokens {
 public:
  explicit OfTokens(const ObjectiveInput& input) : counted_n_(at_tokens(input.weights, input)) {
    for (size_t i = 0; i < input.counts.size(); ++i) tokens_ += input.weights[i] * static_cast<double>(input.counts[i]);
  }
  Metric operator()(const char* name, const at::Tensor& of_n) const {
    return {name, (of_n.detach() * counted_n_).sum(), tokens_};
  }

 private:
  at::Tensor counted_n_;
  double tokens_ = 0;
};

// Of a group whose rewards are equal, or unknown, nothing is learnt.
void add_rewards(std::vector<Metric>& metrics, const ObjectiveInput& input) {
  double sum = 0, known = 0, deviations = 0, several = 0, equal = 0;
  size_t first = 0;
  for (const auto sequences : input.groups) {
    const auto spread = spread_of(std::span(input.values).subspan(first, static_cast<size_t>(sequences)));
    first += static_cast<size_t>(sequences);
    sum += spread.sum, known += static_cast<double>(spread.known);
    equal += spread.equal ? 1 : 0;
    if (spread.known > 1) deviations += spread.deviation, ++several;
  }
  metrics.push_back({"reward", at::scalar_tensor(sum), known});
  metrics.push_back({"reward_std", at::scalar_tensor(deviations), several});
  metrics.push_back({"frac_reward_zero_std", at::scalar_tensor(equal), static_cast<double>(input.groups.size())});
}

}  // namespace

at::Tensor at_tokens(const std::vector<double>& values, const ObjectiveInput& input) {
  std::vector<float> all;
  all.reserve(static_cast<size_t>(input.logp_n.numel()));
  for (size_t i = 0; i < values.size(); ++i)
    all.insert(all.end(), static_cast<size_t>(input.counts[i]), static_cast<float>(values[i]));
  return at::tensor(all, at::kFloat).to(input.logp_n.device());
}

at::Tensor divergence(const ObjectiveInput& input) {
  const auto d = (input.reference_n - input.logp_n).clamp(-20, 20);
  return d.exp() - d - 1;
}

std::vector<Metric> metrics_of(const Method& method, const ObjectiveInput& input, const at::Tensor& ratio_n,
                               const at::Tensor& advantage_n) {
  const OfTokens mean(input);
  std::vector<Metric> metrics{mean("sampling/logp_difference", (input.logp_n - input.behaviour_n).abs()),
                              {"completions/mean_length", at::scalar_tensor(static_cast<double>(input.logp_n.numel())),
                               static_cast<double>(input.counts.size())}};
  add_rewards(metrics, input);
  const auto above = ratio_n.gt(1 + method.clip_high), below = ratio_n.lt(1 - method.clip_low);
  if (method.capped) {
    metrics.push_back(mean("clip_ratio/high", above.logical_and(advantage_n.ne(0))));
  } else if (method.ratio != Ratio::none) {
    metrics.push_back(mean("clip_ratio/high", above.logical_and(advantage_n.gt(0))));
    metrics.push_back(mean("clip_ratio/low", below.logical_and(advantage_n.lt(0))));
  }
  if (method.kl == 0) return metrics;
  metrics.push_back(mean(
      "kl", method.kl_in == Method::Kl::loss ? divergence(input) * ratio_n : input.behaviour_n - input.reference_n));
  return metrics;
}

}  // namespace antiphon::policy_gradient
