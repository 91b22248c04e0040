// Adafactor: of a matrix's second moment only the means of rows and columns are kept. Source: Shazeer & Stern 2018;
// transformers/optimization.py, whose formulas and defaults for a given learning rate it has.
#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/component/register.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <cmath>

namespace antiphon::adafactor {

struct AdafactorOptions {
  double eps = 1e-30, eps_scale = 1e-3, clip_threshold = 1.0, decay_rate = -0.8, beta1 = 0.0;
  bool scale_parameter = false, relative_step = false, warmup_init = false;
};

const config::Table<AdafactorOptions>& adafactor_table() {
  using O = AdafactorOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("adafactor")
          .field("eps", &O::eps, "added to the square of the gradient", {.min = 0, .above_min = true})
          .field("eps_scale", &O::eps_scale, "with scale_parameter: the least scale", {.min = 0})
          .field("clip_threshold", &O::clip_threshold, "largest root mean square of an update, before its rate",
                 {.min = 0, .above_min = true})
          .field("decay_rate", &O::decay_rate, "the second moment decays by 1 - step ^ decay_rate", {.max = 0})
          .field("beta1", &O::beta1, "decay of the first moment; 0: none is kept", {.min = 0, .max = 1})
          .field("scale_parameter", &O::scale_parameter,
                 "rate and weight decay are relative to the root mean square of the parameter")
          .field("relative_step", &O::relative_step,
                 "rate and weight decay fall with min(0.01, 1 / sqrt(step)); with lr = 1 and a constant schedule the "
                 "rate is the paper's")
          .field("warmup_init", &O::warmup_init, "with relative_step: it rises as step / 1e6 before"));
  return *table;
}

at::Tensor root_mean_square(const at::Tensor& x) { return x.norm() / std::sqrt(static_cast<double>(x.numel())); }

// One over the root of the second moment that rows and columns stand for.
at::Tensor inverse_root(const at::Tensor& row, const at::Tensor& column) {
  return (row / row.mean(-1, /*keepdim=*/true)).rsqrt_().unsqueeze(-1) * column.unsqueeze(-2).rsqrt();
}

class Adafactor : public UpdateRule {
 public:
  explicit Adafactor(const AdafactorOptions& options) : o_(options) {
    if (o_.warmup_init && !o_.relative_step)
      fail(ErrorKind::config, "adafactor: warmup_init = true is the beginning of relative_step, and that is false",
           "set train.optimizer.relative_step = true, or use train.schedule.warmup_steps");
  }

  std::vector<std::pair<std::string, at::Tensor>> make_state(const Parameter& parameter) const override {
    const auto& x = *parameter.tensor;
    const auto zeros = [&](at::IntArrayRef sizes) { return at::zeros(sizes, x.options().requires_grad(false)); };
    std::vector<std::pair<std::string, at::Tensor>> state{{"step", zeros({})}};
    if (is_factored(parameter.role, x)) {
      auto columns = x.sizes().vec();
      columns.erase(columns.end() - 2);
      state.emplace_back("exp_avg_sq_row", zeros(x.sizes().slice(0, static_cast<size_t>(x.dim()) - 1)));
      state.emplace_back("exp_avg_sq_col", zeros(columns));
    } else {
      state.emplace_back("exp_avg_sq", zeros(x.sizes()));
    }
    if (o_.beta1 > 0) state.emplace_back("exp_avg", zeros(x.sizes()));
    return state;
  }

  void update(const std::vector<UpdateItem>& items, double lr, double weight_decay) override {
    for (const auto& item : items) update_one(item, lr, weight_decay);
  }

 private:
  static bool is_factored(Role role, const at::Tensor& x) { return role != Role::vector && x.dim() >= 2; }

  double relative_rate(double step) const {
    if (!o_.relative_step) return 1;
    return std::min(o_.warmup_init ? 1e-6 * step : 1e-2, 1 / std::sqrt(step));
  }

  at::Tensor normalised(const UpdateItem& item, double step) const {
    const double decay = 1 - std::pow(step, o_.decay_rate);
    const auto squared = item.gradient.square() + o_.eps;
    const auto average = [&](const at::Tensor& moment, const at::Tensor& now) {
      moment.mul_(decay).add_(now, 1 - decay);
    };
    if (!is_factored(item.role, item.parameter)) {
      average(item.state[1], squared);
      return item.state[1].rsqrt().mul_(item.gradient);
    }
    average(item.state[1], squared.mean(-1)), average(item.state[2], squared.mean(-2));
    return inverse_root(item.state[1], item.state[2]).mul_(item.gradient);
  }

  void update_one(const UpdateItem& item, double lr, double weight_decay) const {
    const double step = item.state[0].add_(1).item<double>();
    auto rate = at::full({}, lr * relative_rate(step), item.parameter.options());
    if (o_.scale_parameter) rate = rate * root_mean_square(item.parameter).clamp_min(o_.eps_scale);
    auto change = normalised(item, step);
    change.div_((root_mean_square(change) / o_.clip_threshold).clamp_min_(1)).mul_(rate);
    if (o_.beta1 > 0) change = item.state.back().mul_(o_.beta1).add_(change, 1 - o_.beta1);
    if (weight_decay != 0) item.parameter.mul_(1 - rate * weight_decay);
    item.parameter.sub_(change);
  }

  AdafactorOptions o_;
};

}  // namespace antiphon::adafactor

ANTIPHON_PLUGIN(adafactor, "0.1.0") {
  using namespace antiphon::adafactor;
  antiphon::register_component<antiphon::UpdateRule, Adafactor>(
      registrar, "adafactor", "Adafactor (Shazeer & Stern 2018): a second moment of rows and columns",
      adafactor_table());
}
