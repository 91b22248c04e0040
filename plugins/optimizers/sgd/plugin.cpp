// Gradient descent with momentum, as torch.optim.SGD has it (torch/optim/sgd.py; Sutskever et al. 2013), but for the
// weight decay, which is decoupled as in every optimizer here.
#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/component/register.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::sgd {

struct SgdOptions {
  double momentum = 0.9;
  bool nesterov = false;
};

const config::Table<SgdOptions>& sgd_table() {
  using O = SgdOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("sgd")
          .field("momentum", &O::momentum, "decay of the momentum; 0: none is kept", {.min = 0, .max = 1})
          .field("nesterov", &O::nesterov, "the gradient is added to the momentum once more"));
  return *table;
}

class Sgd : public UpdateRule {
 public:
  explicit Sgd(const SgdOptions& options) : o_(options) {
    if (o_.nesterov && o_.momentum == 0)
      fail(ErrorKind::config, "sgd: nesterov = true needs a momentum, and momentum = 0",
           "set train.optimizer.momentum = 0.9, or nesterov = false");
  }

  std::vector<std::pair<std::string, at::Tensor>> make_state(const Parameter& parameter) const override {
    if (o_.momentum == 0) return {};
    return {{"momentum", at::zeros_like(*parameter.tensor).detach()}};
  }

  void update(const std::vector<UpdateItem>& items, double lr, double weight_decay) override {
    for (const auto& item : items) {
      item.parameter.mul_(1 - lr * weight_decay);
      item.parameter.sub_(change(item), lr);
    }
  }

  bool elementwise() const override { return true; }

 private:
  at::Tensor change(const UpdateItem& item) const {
    if (o_.momentum == 0) return item.gradient;
    item.state[0].mul_(o_.momentum).add_(item.gradient);
    return o_.nesterov ? item.gradient.add(item.state[0], o_.momentum) : item.state[0];
  }

  SgdOptions o_;
};

}  // namespace antiphon::sgd

ANTIPHON_PLUGIN(sgd, "0.1.0") {
  using namespace antiphon::sgd;
  antiphon::register_component<antiphon::UpdateRule, Sgd>(registrar, "sgd", "gradient descent with momentum",
                                                          sgd_table());
}
