// Log-probabilities of a batch's supervised tokens.
#pragma once
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/nn/token_scores.h>

namespace antiphon::model {

// [n] float32, in the order of batch.labels_n, with a gradient if one is wanted. The media must be encoded.
at::Tensor score_tokens(MultimodalLm& model, const Batch& batch, const nn::TokenScoreOptions& options = {});

}  // namespace antiphon::model
