// Policy gradients of what the model wrote: GRPO and its kin, without a critic and with one update a rollout. What a
// token adds to the loss is a function of the ratio of its probability now to that when it was written. So is CISPO's,
// whose weights are constants in its own formula: the gradient is that formula's, the value is not. Source:
// trl/trainer/grpo_trainer.py and rloo_trainer.py.
#include <ATen/ATen.h>

#include <antiphon/component/objective.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "advantages.h"
#include "metrics.h"

namespace antiphon::policy_gradient {
namespace {

class PolicyGradient : public Objective {
 public:
  explicit PolicyGradient(const PolicyGradientOptions& options)
      : answers_(options.answers), method_(method_of(options)) {}
  ObjectiveNeeds needs() const override {
    return {.candidates = answers_, .written = true, .reference = method_.kl > 0};
  }

  ObjectiveOutput forward(const ObjectiveInput& input) override {
    if (input.counts.empty()) return {input.logp_n.sum()};  // a batch of padding alone has a gradient of zeros
    const auto advantage_n = at_tokens(advantages_of(rewards(input), input.groups, method_), input);
    const auto log_ratio_n = log_ratio(input), ratio_n = log_ratio_n.exp();
    auto loss_n = -gain(input.logp_n, log_ratio_n, ratio_n, advantage_n);
    if (method_.kl > 0 && method_.kl_in == Method::Kl::loss) loss_n = loss_n + divergence(input) * ratio_n * method_.kl;
    return {(loss_n * at_tokens(shares(input), input)).sum(), metrics_of(method_, input, ratio_n, advantage_n)};
  }

 private:
  // Of each answer: what its tokens are multiplied by.
  std::vector<double> shares(const ObjectiveInput& input) const {
    const auto tokens = static_cast<double>(std::max<int64_t>(1, input.totals.tokens)),
               sequences = static_cast<double>(std::max<int64_t>(1, input.totals.sequences));
    auto shares = input.weights;
    for (size_t i = 0; i < shares.size(); ++i) {
      if (method_.normalizer == "tokens") shares[i] /= tokens;
      if (method_.normalizer == "sequences") shares[i] /= sequences * static_cast<double>(input.counts[i]);
      if (method_.normalizer == "length") shares[i] /= sequences * static_cast<double>(method_.length);
    }
    return shares;
  }

  // Of each answer: what it is compared by. NaN: it is not.
  std::vector<double> rewards(const ObjectiveInput& input) const {
    auto rewards = input.values;
    for (size_t i = 0; i < rewards.size(); ++i)
      if (method_.counted_only && input.weights[i] == 0) rewards[i] = std::numeric_limits<double>::quiet_NaN();
    if (method_.kl == 0 || method_.kl_in == Method::Kl::loss) return rewards;
    const auto apart_n = (input.behaviour_n - input.reference_n).to(at::kCPU, at::kDouble);
    const auto parts = apart_n.split_with_sizes(input.counts);
    for (size_t i = 0; i < rewards.size(); ++i) {
      const auto apart = method_.kl_in == Method::Kl::sum_in_reward ? parts[i].sum() : parts[i].mean();
      rewards[i] -= method_.kl * apart.item<double>();
    }
    return rewards;
  }

  at::Tensor log_ratio(const ObjectiveInput& input) const {
    const auto of_tokens_n = input.logp_n - input.behaviour_n;
    if (method_.ratio == Ratio::token || method_.ratio == Ratio::none) return of_tokens_n;
    std::vector<at::Tensor> all;
    for (const auto& part : of_tokens_n.split_with_sizes(input.counts))
      all.push_back((method_.ratio == Ratio::mean ? part.mean() : part.sum()).expand_as(part));
    return at::cat(all);
  }

  at::Tensor gain(const at::Tensor& logp_n, const at::Tensor& log_ratio_n, const at::Tensor& ratio_n,
                  const at::Tensor& advantage_n) const {
    if (method_.ratio == Ratio::none) return logp_n * advantage_n;
    const double most = 1 + method_.clip_high, bound = std::log(most);
    if (method_.capped)  // its derivative in the log-probability is the ratio, and beyond the bound the bound
      return (log_ratio_n.clamp_max(bound).exp() + most * (log_ratio_n - bound).relu()) * advantage_n;
    return at::minimum(ratio_n * advantage_n, ratio_n.clamp(1 - method_.clip_low, most) * advantage_n);
  }

  int64_t answers_;
  Method method_;
};

}  // namespace
}  // namespace antiphon::policy_gradient

ANTIPHON_PLUGIN(policy_gradient, "0.1.0") {
  using namespace antiphon::policy_gradient;
  antiphon::register_component<antiphon::Objective, PolicyGradient>(
      registrar, "policy_gradient", "answers that the model writes, by their rewards: GRPO and its kin",
      policy_gradient_table());
}
