#include <antiphon/model/objective_input.h>

namespace antiphon::model {

void add_to(StepTotals& totals, const Batch& batch) {
  for (const auto& sequence : batch.sequences)
    if (sequence.weight != 0) totals.tokens += sequence.supervised, ++totals.sequences;
  totals.groups += static_cast<int64_t>(batch.groups.size());
  size_t first = 0;
  for (const int64_t sequences : batch.groups) {
    totals.preferred_tokens += batch.sequences[first].supervised;
    first += static_cast<size_t>(sequences);
  }
}

ObjectiveInput objective_input(const Batch& batch, const StepTotals& totals) {
  ObjectiveInput input;
  for (const auto& sequence : batch.sequences) {
    input.counts.push_back(sequence.supervised);
    input.weights.push_back(sequence.weight), input.values.push_back(sequence.value);
  }
  input.groups = batch.groups, input.behaviour_n = batch.behaviour_n, input.totals = totals;
  return input;
}

}  // namespace antiphon::model
