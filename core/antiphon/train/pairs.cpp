#include <antiphon/train/pairs.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/model/multimodal_lm.h>
#include <antiphon/parallel/gather_rows.h>

namespace antiphon::train {

ObjectiveOutput loss_of_pairs(Objective& objective, const at::Tensor& own_sk, const StepTotals& totals,
                              comm::Group* group, bool leads) {
  const int64_t own = own_sk.size(0);
  const auto all = parallel::gather_rows(own_sk.detach().narrow(0, 0, leads ? own : 0), group);
  const int64_t first = leads ? all.first : all.first - own, end = first + own;
  ObjectiveInput input;
  input.scores_sk = at::cat({all.rows.narrow(0, 0, first), own_sk, all.rows.narrow(0, end, all.rows.size(0) - end)});
  input.first_own = first, input.own_sequences = own, input.totals = totals;
  return objective.forward(input);
}

AllPairs compare_pairs(size_t batches, const std::function<at::Tensor(size_t)>& scores,
                       const std::function<ObjectiveOutput(const at::Tensor& own_sk)>& loss) {
  AllPairs all;
  std::vector<at::Tensor> of_batches;
  std::vector<int64_t> counts;
  {
    c10::AutoGradMode no_grad(false);
    for (size_t i = 0; i < batches; ++i) {
      of_batches.push_back(scores(i));
      counts.push_back(of_batches.back().size(0));
    }
  }
  const auto own = at::cat(of_batches).requires_grad_(true);
  all.output = loss(own);
  torch::autograd::backward({all.output.loss}, {});
  all.output.loss = all.output.loss.detach();
  const auto gradients = own.grad().split_with_sizes(counts);
  for (size_t i = 0; i < batches; ++i) all.batches.push_back({of_batches[i], gradients[i]});
  return all;
}

at::Tensor scores_before(model::Model& model, model::Batch& batch, const nn::TokenScoreOptions& options) {
  auto& lm = model.lm();
  if (lm.encoders_frozen()) lm.encode(batch);
  auto passing = batch;  // what learns is encoded again, with its gradient
  lm.encode(passing);
  return model.score(passing, options);
}

at::Tensor with_gradient(const at::Tensor& scores_sk, const at::Tensor& gradient_sk) {
  const auto linear = (scores_sk * gradient_sk).sum();
  return linear - linear.detach();
}

}  // namespace antiphon::train
