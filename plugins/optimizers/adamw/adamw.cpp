#include "adamw.h"

#include <ATen/ATen.h>

namespace antiphon::adamw {

const config::Table<AdamWOptions>& adamw_table() {
  using O = AdamWOptions;
  static const auto* table =
      new config::Table<O>(config::Table<O>("adamw")
                               .field("beta1", &O::beta1, "decay of the first moment", {.min = 0, .max = 1})
                               .field("beta2", &O::beta2, "decay of the second moment", {.min = 0, .max = 1})
                               .field("eps", &O::eps, "added to the root of the second moment", {.min = 0}));
  return *table;
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::make_state(const Parameter& parameter) const {
  const auto zeros = [&] { return at::zeros_like(*parameter.tensor).detach(); };
  const auto step = at::zeros({}, parameter.tensor->options().dtype(at::kFloat).requires_grad(false));
  return {{"exp_avg", zeros()}, {"exp_avg_sq", zeros()}, {"step", step}};
}

void AdamW::update(const std::vector<UpdateItem>& items, double lr, double weight_decay) {
  std::vector<at::Tensor> parameters, gradients, exp_avgs, exp_avg_sqs, steps;
  for (const auto& item : items) {
    parameters.push_back(item.parameter);
    gradients.push_back(item.gradient);
    exp_avgs.push_back(item.state[0]);
    exp_avg_sqs.push_back(item.state[1]);
    steps.push_back(item.state[2].add_(1));
  }
  at::_fused_adamw_(parameters, gradients, exp_avgs, exp_avg_sqs, {}, steps, lr, o_.beta1, o_.beta2, weight_decay,
                    o_.eps, /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace antiphon::adamw
