#include <ATen/ATen.h>

#include <antiphon/component/update_rule.h>

#include <cmath>

#include "faulty.h"

namespace antiphon::fixture {
namespace optimizer {
namespace {

enum class Fault { none, state_on_cpu, counts_itself, decay_in_gradient };

// The sign of the momentum.
template <Fault fault>
class SignMomentum : public UpdateRule {
 public:
  bool elementwise() const override { return true; }
  std::vector<std::pair<std::string, at::Tensor>> make_state(const Parameter& parameter) const override {
    const auto& value = *parameter.tensor;
    return {{"momentum", fault == Fault::state_on_cpu ? at::zeros(value.sizes()) : at::zeros_like(value).detach()}};
  }
  void update(const std::vector<UpdateItem>& items, double lr, double weight_decay) override {
    if (fault == Fault::counts_itself) lr /= std::sqrt(static_cast<double>(++steps_));
    for (const auto& item : items) {
      if (fault == Fault::decay_in_gradient)
        item.gradient.add_(item.parameter, weight_decay);
      else
        item.parameter.mul_(1 - lr * weight_decay);
      item.state[0].mul_(0.9).add_(item.gradient);
      item.parameter.sub_(item.state[0].sign(), lr);
    }
  }

 private:
  int64_t steps_ = 0;
};

}  // namespace
}  // namespace optimizer

void add_optimizers(plugin::Registrar& registrar) {
  using namespace optimizer;
  register_component<UpdateRule, SignMomentum<Fault::none>>(registrar, "sound", "");
  register_component<UpdateRule, SignMomentum<Fault::state_on_cpu>>(registrar, "state_on_cpu", "wherever they are");
  register_component<UpdateRule, SignMomentum<Fault::counts_itself>>(registrar, "counts_itself", "steps, in a member");
  register_component<UpdateRule, SignMomentum<Fault::decay_in_gradient>>(registrar, "decay_in_gradient", "");
}

}  // namespace antiphon::fixture
