#include <antiphon/model/score_tokens.h>

#include <ATen/ATen.h>

#include <antiphon/base/trace.h>

namespace antiphon::model {

at::Tensor score_tokens(MultimodalLm& model, const Batch& batch, const nn::TokenScoreOptions& options) {
  const auto hidden = model.forward(batch).index_select(0, batch.supervised_n.to(model.device()));
  const TraceScope scope("loss");
  return nn::token_scores(hidden, model.llm().head_weight(), batch.labels_n.to(model.device()), options);
}

}  // namespace antiphon::model
