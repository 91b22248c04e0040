// Supervised fine-tuning: cross entropy of the supervised tokens, as one mean over the whole step.
#include <ATen/ATen.h>

#include <antiphon/component/objective.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::sft {

class Sft : public Objective {
 public:
  ObjectiveNeeds needs() const override { return {.even_gradient = true}; }
  ObjectiveOutput forward(const ObjectiveInput& input) override {
    return {input.logp_n.sum().neg().div(static_cast<double>(input.totals.tokens))};
  }
};

}  // namespace antiphon::sft

ANTIPHON_PLUGIN(sft, "0.1.0") {
  antiphon::register_component<antiphon::Objective, antiphon::sft::Sft>(
      registrar, "sft", "supervised fine-tuning: the mean loss of the supervised tokens");
}
