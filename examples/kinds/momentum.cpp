// An optimizer: gradient descent with momentum.
#include <ATen/ATen.h>

#include <antiphon/component/register.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/plugin/manifest.h>

using namespace antiphon;

class Momentum : public UpdateRule {
 public:
  std::vector<std::pair<std::string, at::Tensor>> make_state(const Parameter& parameter) const override {
    return {{"momentum", at::zeros_like(*parameter.tensor).detach()}};
  }
  void update(const std::vector<UpdateItem>& items, double lr, double weight_decay) override {
    for (const auto& item : items) {
      item.state[0].mul_(0.9).add_(item.gradient);
      item.parameter.mul_(1 - lr * weight_decay).sub_(item.state[0], lr);
    }
  }
};

ANTIPHON_PLUGIN(momentum, "0.1.0") {
  register_component<UpdateRule, Momentum>(registrar, "momentum", "gradient descent with momentum");
}
