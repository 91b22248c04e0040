#include <antiphon/model/reference_scores.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/model/multimodal_lm.h>

#include <algorithm>

namespace antiphon::model {

at::Tensor reference_scores(Model& model, Batch& batch, checkpoint::Reference& reference,
                            const nn::TokenScoreOptions& options) {
  c10::AutoGradMode no_grad(false);
  const auto frozen = [](const auto& stream) { return stream.second->encoders_frozen(); };
  auto& lm = model.lm();
  if (std::ranges::all_of(lm.streams(), frozen)) lm.encode(batch);
  auto copy = batch;
  const checkpoint::Reference::Scope as_it_was(reference);
  lm.encode(copy);
  return model.score(copy, options);
}

}  // namespace antiphon::model
