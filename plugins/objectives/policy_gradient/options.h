// Which policy gradient: a preset, and what is said beside it.
#pragma once
#include <antiphon/config/schema.h>

#include <optional>
#include <string>

namespace antiphon::policy_gradient {

struct PolicyGradientOptions {
  std::string preset = "dapo";
  int64_t answers = 8;
  std::optional<std::string> advantage = {}, normalizer = {};
  std::optional<int64_t> length = {};
  std::optional<double> clip_low = {}, clip_high = {}, kl = {};
};

const config::Table<PolicyGradientOptions>& policy_gradient_table();

// How likely an answer's tokens are now, beside when they were written: of each token; the geometric mean or the
// product of those of the answer, at each of its tokens; or it is not asked.
enum class Ratio { token, mean, product, none };

// What the preset's options are, with those given in their place.
struct Method {
  std::string advantage = "group";
  Ratio ratio = Ratio::token;
  bool capped = false;  // a ratio above the bound weighs as the bound; else its gradient is 0 beyond the bounds
  double clip_low = 0.2, clip_high = 0.2;
  std::string normalizer = "sequences";
  int64_t length = 0;
  double kl = 0;
  enum class Kl { loss, sum_in_reward, mean_in_reward } kl_in = Kl::loss;
  bool counted_only = false;  // answers of weight 0 are left out of their group's statistics
};

// Error(config) for an option that is missing or that the preset has no use for.
Method method_of(const PolicyGradientOptions& options);

}  // namespace antiphon::policy_gradient
