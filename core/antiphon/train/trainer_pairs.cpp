// Objectives that compare all sequences of a step. With several batches the scores are computed without a gradient
// first, and the loss's gradient for them is given to a second pass over each batch (Gao et al. 2021, gradient cache):
// exact, and no batch's activations live beside another's.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <fmt/format.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/trace.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/parallel/gather_rows.h>
#include <antiphon/train/step_seed.h>
#include <antiphon/train/trainer.h>

#include <algorithm>

namespace antiphon::train {

// Of this process's scores, with a gradient for them if they want one.
ObjectiveOutput Trainer::of_pairs(const at::Tensor& own_sk, const StepTotals& totals) {
  const auto all = parallel::gather_rows(own_sk.detach(), agreement_.group());
  const int64_t own = own_sk.size(0), end = all.first + own;
  ObjectiveInput input;
  input.scores_sk =
      at::cat({all.rows.narrow(0, 0, all.first), own_sk, all.rows.narrow(0, end, all.rows.size(0) - end)});
  input.first_own = all.first, input.own_sequences = own, input.totals = totals;
  return objective_.forward(input);
}

// Of the second pass over a batch. Nothing is added to the loss, which is counted already.
at::Tensor Trainer::with_gradient(const at::Tensor& scores_sk, const Compared& compared) const {
  const double bound = model_.lm().compute_dtype() == at::kFloat ? 1e-3 : 5e-2;  // kernels without gradients differ
  const auto apart = (scores_sk.detach() - compared.scores_sk).norm(), size = compared.scores_sk.norm();
  if (apart.item<double>() > bound * size.item<double>())
    fail(ErrorKind::internal,
         fmt::format("the second pass over a batch gives other vectors than the first: by {:.3g} of {:.3g}",
                     apart.item<double>(), size.item<double>()));
  const auto linear = (scores_sk * compared.gradient_sk).sum();
  return linear - linear.detach();
}

// Does nothing if the one pass over each batch will do. The same dropout is drawn in both.
void Trainer::compare_pairs(std::vector<model::Batch>& batches, std::vector<Compared>& compared, StepResult& result) {
  if (!objective_.needs().pairs || batches.size() == 1) return;
  const TraceScope scope("pairs");
  beacon::doing("computing all pairs of the step");
  placement_.make_usable();
  const nn::BlockPolicyScope policy(placement_.around(nullptr));
  auto& lm = model_.lm();
  const bool frozen = std::ranges::all_of(lm.streams(), [](const auto& s) { return s.second->encoders_frozen(); });
  std::vector<at::Tensor> scores;
  std::vector<int64_t> counts;
  {
    c10::AutoGradMode no_grad(false);
    for (size_t i = 0; i < batches.size(); ++i) {
      const auto seed = seed_of_batch(static_cast<int64_t>(i));
      seed_generators(lm.device(), seed);
      const TrainingPass training(/*training=*/true, /*again=*/true, seed);
      if (frozen) lm.encode(batches[i]);
      auto batch = batches[i];
      lm.encode(batch);
      scores.push_back(model_.score(batch, score_options()));
      counts.push_back(scores.back().size(0));
    }
  }
  const auto own = at::cat(scores).requires_grad_(true);
  const auto output = of_pairs(own, result.drawn.totals);
  torch::autograd::backward({output.loss}, {});
  result.loss += output.loss.item<double>();
  result.metrics.add(output.metrics);
  const auto gradients = own.grad().split_with_sizes(counts);
  for (size_t i = 0; i < batches.size(); ++i) compared[i].scores_sk = scores[i], compared[i].gradient_sk = gradients[i];
}

}  // namespace antiphon::train
