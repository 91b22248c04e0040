// Steps of objectives that compare all sequences of a step.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/trace.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/train/step_seed.h>
#include <antiphon/train/trainer.h>

namespace antiphon::train {

void Trainer::check_same_pairs(const at::Tensor& scores_sk, const ComparedPairs& before) const {
  const double bound = model_.lm().compute_dtype() == at::kFloat ? 1e-3 : 5e-2;  // kernels without gradients differ
  const auto apart = (scores_sk.detach() - before.scores_sk).norm(), size = before.scores_sk.norm();
  if (apart.item<double>() > bound * size.item<double>())
    fail(ErrorKind::internal,
         fmt::format("the second pass over a batch gives other vectors than the first: by {:.3g} of {:.3g}",
                     apart.item<double>(), size.item<double>()));
}

// Does nothing if the one pass over each batch will do. The same dropout is drawn in both.
void Trainer::compare_all_pairs(std::vector<model::Batch>& batches, std::vector<Compared>& compared,
                                StepResult& result) {
  if (!objective_.needs().pairs || batches.size() == 1) return;
  const TraceScope scope("pairs");
  beacon::doing("computing all pairs of the step");
  placement_.make_usable();
  const nn::BlockPolicyScope policy(placement_.around(nullptr));
  auto all = compare_pairs(
      batches.size(),
      [&](size_t i) {
        const auto seed = seed_of_batch(static_cast<int64_t>(i));
        seed_generators(model_.lm().device(), seed);
        const TrainingPass training(/*training=*/true, /*again=*/true, seed);
        return scores_before(model_, batches[i], score_options());
      },
      [&](const at::Tensor& own_sk) {
        return loss_of_pairs(objective_, own_sk, result.drawn.totals, agreement_.group(), placement_.leads());
      });
  result.loss += all.output.loss.item<double>();
  result.metrics.add(all.output.metrics);
  for (size_t i = 0; i < batches.size(); ++i) compared[i].pairs = all.batches[i];
}

}  // namespace antiphon::train
