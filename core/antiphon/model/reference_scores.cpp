#include <antiphon/model/reference_scores.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/model/multimodal_lm.h>

#include <algorithm>

namespace antiphon::model {

std::vector<at::Tensor> reference_scores(Model& model, std::span<Batch> batches, checkpoint::Reference& reference,
                                         const nn::TokenScoreOptions& options) {
  c10::AutoGradMode no_grad(false);
  auto& lm = model.lm();
  if (lm.encoders_frozen())
    for (auto& batch : batches) lm.encode(batch);
  std::vector<at::Tensor> scores;
  const checkpoint::Reference::Scope as_it_was(reference);
  for (const auto& batch : batches) {
    auto copy = batch;
    lm.encode(copy);
    scores.push_back(model.score_all_chunks(copy, options));
  }
  return scores;
}

}  // namespace antiphon::model
