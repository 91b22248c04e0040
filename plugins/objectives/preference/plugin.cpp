// Preferences between two answers to one prompt, the preferred one first. Source: Rafailov et al. 2023 (DPO), Mitchell
// 2023 (cDPO, label_smoothing); trl/trainer/dpo_trainer.py names the metrics.
#include <ATen/ATen.h>

#include <antiphon/component/objective.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::preference {

struct PreferenceOptions {
  double beta = 0.1, label_smoothing = 0, sft_weight = 0;
};

const config::Table<PreferenceOptions>& preference_table() {
  using O = PreferenceOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("preference")
          .field("beta", &O::beta, "how strongly the model is held to the reference",
                 {.min = 0, .max = 1e6, .above_min = true})
          .field("label_smoothing", &O::label_smoothing,
                 "share of pairs that are taken to be the wrong way round (cDPO)", {.min = 0, .max = 0.5})
          .field("sft_weight", &O::sft_weight, "of the mean loss of the preferred answers' tokens, added", {.min = 0}));
  return *table;
}

// Sums over the tokens of each sequence: [n] -> [sequences].
at::Tensor sums_of(const at::Tensor& values_n, const std::vector<int64_t>& counts) {
  std::vector<at::Tensor> sums;
  for (const auto& part : values_n.split_with_sizes(counts)) sums.push_back(part.sum());
  return sums.empty() ? values_n : at::stack(sums);  // a batch of padding alone has a gradient of zeros
}

class Preference : public Objective {
 public:
  explicit Preference(const PreferenceOptions& options) : o_(options) {}
  ObjectiveNeeds needs() const override { return {.candidates = 2, .reference = true}; }

  ObjectiveOutput forward(const ObjectiveInput& input) override {
    const auto pairs = static_cast<int64_t>(input.groups.size());
    const auto policy = sums_of(input.logp_n, input.counts).view({pairs, 2});
    const auto rewards = (policy - sums_of(input.reference_n, input.counts).view({pairs, 2})) * o_.beta;
    const auto margins = rewards.select(1, 0) - rewards.select(1, 1);
    auto losses = -at::log_sigmoid(margins) * (1 - o_.label_smoothing);
    if (o_.label_smoothing > 0) losses = losses - at::log_sigmoid(-margins) * o_.label_smoothing;
    auto loss = losses.sum() / static_cast<double>(input.totals.groups);
    if (o_.sft_weight > 0)
      loss = loss - policy.select(1, 0).sum() * (o_.sft_weight / static_cast<double>(input.totals.preferred_tokens));
    return {loss, metrics_of(policy.detach(), rewards.detach(), margins.detach(), input)};
  }

 private:
  static std::vector<Metric> metrics_of(const at::Tensor& policy, const at::Tensor& rewards, const at::Tensor& margins,
                                        const ObjectiveInput& input) {
    const auto pairs = static_cast<double>(input.groups.size());
    int64_t tokens[2] = {0, 0};
    for (size_t i = 0; i < input.counts.size(); ++i) tokens[i % 2] += input.counts[i];
    std::vector<Metric> metrics{{"rewards/margins", margins.sum(), pairs},
                                {"rewards/accuracies", margins.gt(0).sum(at::kFloat), pairs}};
    for (int64_t side = 0; side < 2; ++side) {
      const std::string name = side == 0 ? "chosen" : "rejected";
      metrics.push_back({"rewards/" + name, rewards.select(1, side).sum(), pairs});
      metrics.push_back({"logps/" + name, policy.select(1, side).sum(), pairs});
      metrics.push_back({"logps_per_token/" + name, policy.select(1, side).sum(), static_cast<double>(tokens[side])});
    }
    return metrics;
  }
  PreferenceOptions o_;
};

}  // namespace antiphon::preference

ANTIPHON_PLUGIN(preference, "0.1.0") {
  using namespace antiphon::preference;
  antiphon::register_component<antiphon::Objective, Preference>(
      registrar, "preference", "preferences between two answers: DPO", preference_table());
}
