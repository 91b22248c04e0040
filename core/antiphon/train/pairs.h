// Objectives that compare all sequences of a step. With several batches the scores are computed without a gradient
// first, and the loss's gradient for them is given to a second pass over each batch (Gao et al. 2021, gradient cache):
// exact, and no batch's activations live beside another's.
#pragma once
#include <functional>
#include <vector>

#include <antiphon/comm/group.h>
#include <antiphon/component/objective.h>
#include <antiphon/model/model.h>

namespace antiphon::train {

// The loss of all pairs of a step, of which this process has some: with a gradient for its own scores, if they want
// one. `group`: of all processes; nullptr: this one alone. `leads`: it is the first of those that have the same ones,
// whose ranks follow.
ObjectiveOutput loss_of_pairs(Objective& objective, const at::Tensor& own_sk, const StepTotals& totals,
                              comm::Group* group, bool leads);

// What is known of a batch before the pass that has its gradient.
struct ComparedPairs {
  at::Tensor scores_sk = {}, gradient_sk = {};
};

struct AllPairs {
  ObjectiveOutput output;  // of all batches; its loss has no gradient any more
  std::vector<ComparedPairs> batches;
};
// `scores`: of a batch by its number, called without gradients.
AllPairs compare_pairs(size_t batches, const std::function<at::Tensor(size_t)>& scores,
                       const std::function<ObjectiveOutput(const at::Tensor& own_sk)>& loss);

// The scores of a batch for compare_pairs(). What encoders that do not learn give stays in the batch.
at::Tensor scores_before(model::Model& model, model::Batch& batch, const nn::TokenScoreOptions& options);

// 0, with this gradient for the scores: what is counted already is not added to the loss.
at::Tensor with_gradient(const at::Tensor& scores_sk, const at::Tensor& gradient_sk);

}  // namespace antiphon::train
