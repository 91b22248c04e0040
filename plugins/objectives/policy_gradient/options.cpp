#include "options.h"

#include <antiphon/base/error.h>

#include <fmt/format.h>

#include <map>

namespace antiphon::policy_gradient {
namespace {

// Sources: Shao et al. 2024 (GRPO), Liu et al. 2025 (Dr. GRPO), Yu et al. 2025 (DAPO), Zheng et al. 2025 (GSPO),
// MiniMax 2025 (CISPO), Ahmadian et al. 2024 (RLOO, REINFORCE).
const std::map<std::string, Method>& presets() {
  using enum Method::Kl;
  static const auto* all = new std::map<std::string, Method>{
      {"grpo", {}},
      {"dr_grpo", {.advantage = "mean", .normalizer = "length"}},
      {"dapo", {.clip_high = 0.28, .normalizer = "tokens"}},
      {"gspo", {.ratio = Ratio::mean, .clip_low = 3e-4, .clip_high = 4e-4}},
      {"cispo", {.capped = true, .clip_high = 4, .normalizer = "tokens"}},
      {"rloo", {.advantage = "leave_one_out", .ratio = Ratio::product, .kl = 0.05, .kl_in = sum_in_reward}},
      {"reinforce",
       {.advantage = "leave_one_out",
        .ratio = Ratio::none,
        .normalizer = "tokens",
        .kl = 0.01,
        .kl_in = mean_in_reward,
        .counted_only = true}}};
  return *all;
}

void refuse(bool given, const PolicyGradientOptions& options, const char* key, const std::string& why) {
  if (given)
    fail(ErrorKind::config,
         fmt::format("policy_gradient: {} says nothing with preset = \"{}\": {}", key, options.preset, why),
         fmt::format("remove {}", key));
}

}  // namespace

const config::Table<PolicyGradientOptions>& policy_gradient_table() {
  using O = PolicyGradientOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("policy_gradient")
          .field(
              "preset", &O::preset,
              "the method that says what is not said here; dr_grpo wants length, too. Ratios (how likely it is now to "
              "when it was written) are of a token, of an answer (gspo, rloo) or not asked (reinforce)",
              {.choices = {"grpo", "dr_grpo", "dapo", "gspo", "cispo", "rloo", "reinforce"}})
          .field("answers", &O::answers, "that are written to each prompt, and compared", {.min = 2, .max = 4096})
          .field("advantage", &O::advantage,
                 "of an answer: group, its reward less the mean of its prompt's, in units of their deviation; mean, "
                 "without the unit (dr_grpo); leave_one_out, less the mean of the others (rloo, reinforce)",
                 {.choices = {"group", "mean", "leave_one_out"}})
          .field(
              "normalizer", &O::normalizer,
              "what a step is the mean of: tokens (dapo, cispo, reinforce), sequences (grpo, gspo, rloo), or the sum "
              "of each sequence divided by length (dr_grpo)",
              {.choices = {"tokens", "sequences", "length"}})
          .field("length", &O::length, "tokens, with normalizer = \"length\": train.rollout.max_tokens",
                 {.min = 1, .max = 1 << 24})
          .field("clip_low", &O::clip_low, "how far below 1 a ratio may fall before it stops counting: 0.2, gspo 3e-4",
                 {.min = 0, .max = 1})
          .field("clip_high", &O::clip_high,
                 "how far above 1: 0.2, dapo 0.28, gspo 4e-4; of cispo 4, beyond which it counts as the bound",
                 {.min = 0, .max = 1e6})
          .field("kl", &O::kl,
                 "of the divergence from the reference, added to the loss; 0: there is no reference. rloo (0.05) and "
                 "reinforce (0.01) take it from the reward",
                 {.min = 0, .max = 1e6}));
  return *table;
}

Method method_of(const PolicyGradientOptions& options) {
  auto method = presets().at(options.preset);
  refuse(options.clip_low && method.capped, options, "clip_low", "its ratios have no lower bound");
  refuse(options.clip_low && method.ratio == Ratio::none, options, "clip_low", "it has no ratios");
  refuse(options.clip_high && method.ratio == Ratio::none, options, "clip_high", "it has no ratios");
  method.advantage = options.advantage.value_or(method.advantage);
  method.normalizer = options.normalizer.value_or(method.normalizer);
  method.length = options.length.value_or(0);
  method.clip_low = options.clip_low.value_or(method.clip_low);
  method.clip_high = options.clip_high.value_or(method.clip_high);
  method.kl = options.kl.value_or(method.kl);
  if (method.normalizer == "length" && !options.length)
    fail(ErrorKind::config,
         "policy_gradient: normalizer = \"length\" (that of dr_grpo) wants length, which is not given",
         "set length to train.rollout.max_tokens");
  refuse(options.length && method.normalizer != "length", options, "length",
         fmt::format("normalizer is \"{}\"", method.normalizer));
  return method;
}

}  // namespace antiphon::policy_gradient
