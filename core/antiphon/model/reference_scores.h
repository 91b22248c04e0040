// Log-probabilities of a batch's supervised tokens.
#pragma once
#include <antiphon/checkpoint/reference.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/nn/token_scores.h>

namespace antiphon::model {

// [n] float32, in the order of batch.labels_n, with a gradient if one is wanted. The media must be encoded.
at::Tensor score_tokens(MultimodalLm& model, const Batch& batch, const nn::TokenScoreOptions& options = {});

// The same under the reference, without a gradient; to be called before the media are encoded. Features of frozen
// encoders are the same for both: they are made once and stay in `batch`.
at::Tensor reference_scores(MultimodalLm& model, Batch& batch, checkpoint::Reference& reference,
                            const nn::TokenScoreOptions& options = {});

}  // namespace antiphon::model
