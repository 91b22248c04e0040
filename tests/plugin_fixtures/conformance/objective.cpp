#include <ATen/ATen.h>

#include <antiphon/component/objective.h>

#include "faulty.h"

namespace antiphon::fixture {
namespace objective {
namespace {

enum class Fault { none, batch_mean, taken_name, metric_with_gradient, doubled_gradient, counts_all };

template <Fault fault>
class NegativeLogp : public Objective {
 public:
  ObjectiveNeeds needs() const override { return {.written = fault == Fault::counts_all}; }
  ObjectiveOutput forward(const ObjectiveInput& input) override {
    const auto sum = -input.logp_n.sum();
    const auto tokens = static_cast<double>(fault == Fault::batch_mean ? input.logp_n.numel() : input.totals.tokens);
    auto loss = sum / tokens;
    if (fault == Fault::doubled_gradient) loss = 2 * loss - loss.detach();
    return {loss,
            {{fault == Fault::taken_name ? "lr" : "negative_logp",
              fault == Fault::metric_with_gradient ? sum : sum.detach(), tokens}}};
  }
};

}  // namespace
}  // namespace objective

void add_objectives(plugin::Registrar& registrar) {
  using namespace objective;
  register_component<Objective, NegativeLogp<Fault::none>>(registrar, "sound", "");
  register_component<Objective, NegativeLogp<Fault::batch_mean>>(registrar, "batch_mean", "of a batch, not of a step");
  register_component<Objective, NegativeLogp<Fault::taken_name>>(registrar, "taken_name", "a metric that runs have");
  register_component<Objective, NegativeLogp<Fault::metric_with_gradient>>(registrar, "metric_with_gradient", "");
  register_component<Objective, NegativeLogp<Fault::doubled_gradient>>(registrar, "doubled_gradient", "");
  register_component<Objective, NegativeLogp<Fault::counts_all>>(registrar, "counts_all", "also what has no weight");
}

}  // namespace antiphon::fixture
