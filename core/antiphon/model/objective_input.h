// What an objective is given of a batch.
#pragma once
#include <antiphon/component/objective.h>
#include <antiphon/model/batch.h>

namespace antiphon::model {

// Adds what the batch holds to the totals of a step.
void add_to(StepTotals& totals, const Batch& batch);

// All but the log-probabilities.
ObjectiveInput objective_input(const Batch& batch, const StepTotals& totals);

}  // namespace antiphon::model
