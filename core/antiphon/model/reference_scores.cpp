#include <antiphon/model/score_tokens.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/base/trace.h>

#include <algorithm>

namespace antiphon::model {

at::Tensor score_tokens(MultimodalLm& model, const Batch& batch, const nn::TokenScoreOptions& options) {
  const auto hidden = model.forward(batch).index_select(0, batch.supervised_n.to(model.device()));
  const TraceScope scope("loss");
  return nn::token_scores(hidden, model.llm().head_weight(), batch.labels_n.to(model.device()), options);
}

at::Tensor reference_scores(MultimodalLm& model, Batch& batch, checkpoint::Reference& reference,
                            const nn::TokenScoreOptions& options) {
  c10::AutoGradMode no_grad(false);
  const auto frozen = [](const auto& stream) { return stream.second->encoders_frozen(); };
  if (std::ranges::all_of(model.streams(), frozen)) model.encode(batch);
  auto copy = batch;
  const checkpoint::Reference::Scope as_it_was(reference);
  model.encode(copy);
  return score_tokens(model, copy, options);
}

}  // namespace antiphon::model
