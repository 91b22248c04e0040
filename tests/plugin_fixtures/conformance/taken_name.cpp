// An objective whose metric has a name that every run writes.
#include <ATen/ATen.h>

#include <antiphon/component/objective.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::fixture {

class TakenName : public Objective {
 public:
  ObjectiveNeeds needs() const override { return {}; }
  ObjectiveOutput forward(const ObjectiveInput& input) override {
    const auto loss = input.logp_n.sum().neg().div(static_cast<double>(input.totals.tokens));
    return {loss, {{"lr", loss.detach(), 1}}};
  }
};

}  // namespace antiphon::fixture

ANTIPHON_PLUGIN(taken_name, "0.1.0") {
  antiphon::register_component<antiphon::Objective, antiphon::fixture::TakenName>(registrar, "taken_name", "a fixture");
}
