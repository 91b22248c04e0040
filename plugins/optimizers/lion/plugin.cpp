// Lion: every value moves by the learning rate, in the direction of its momentum. Source: Chen et al. 2023, "Symbolic
// Discovery of Optimization Algorithms", algorithm 2.
#include <ATen/ATen.h>

#include <antiphon/component/register.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::lion {

struct LionOptions {
  double beta1 = 0.9, beta2 = 0.99;
};

const config::Table<LionOptions>& lion_table() {
  using O = LionOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("lion")
          .field("beta1", &O::beta1, "share of the momentum in what is applied, beside the gradient",
                 {.min = 0, .max = 1})
          .field("beta2", &O::beta2, "decay of the momentum that is kept", {.min = 0, .max = 1}));
  return *table;
}

class Lion : public UpdateRule {
 public:
  explicit Lion(const LionOptions& options) : o_(options) {}

  std::vector<std::pair<std::string, at::Tensor>> make_state(const Parameter& parameter) const override {
    return {{"exp_avg", at::zeros_like(*parameter.tensor).detach()}};
  }

  void update(const std::vector<UpdateItem>& items, double lr, double weight_decay) override {
    for (const auto& item : items) {
      const auto& exp_avg = item.state[0];
      const auto direction = (exp_avg * o_.beta1 + item.gradient * (1 - o_.beta1)).sign_();
      item.parameter.mul_(1 - lr * weight_decay).sub_(direction, lr);
      exp_avg.mul_(o_.beta2).add_(item.gradient, 1 - o_.beta2);
    }
  }

  bool elementwise() const override { return true; }

 private:
  LionOptions o_;
};

}  // namespace antiphon::lion

ANTIPHON_PLUGIN(lion, "0.1.0") {
  using namespace antiphon::lion;
  antiphon::register_component<antiphon::UpdateRule, Lion>(
      registrar, "lion", "Lion (Chen et al. 2023): the sign of a momentum", lion_table());
}
