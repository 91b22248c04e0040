// An objective: the mean loss of each sequence, however long it is, and of these the mean.
#include <ATen/ATen.h>

#include <antiphon/component/objective.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

using namespace antiphon;

class SequenceMean : public Objective {
 public:
  ObjectiveNeeds needs() const override { return {}; }
  ObjectiveOutput forward(const ObjectiveInput& input) override {
    at::Tensor sum = at::zeros({}, input.logp_n.options());
    for (const auto& sequence : input.logp_n.split_with_sizes(input.counts)) sum = sum - sequence.mean();
    return {sum / static_cast<double>(input.totals.sequences)};
  }
};

ANTIPHON_PLUGIN(sequence_mean, "0.1.0") {
  register_component<Objective, SequenceMean>(registrar, "sequence_mean", "every sequence counts alike");
}
