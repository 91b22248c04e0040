// What a model gives of a batch under the reference that an objective compares with.
#pragma once
#include <antiphon/checkpoint/reference.h>
#include <antiphon/model/model.h>

namespace antiphon::model {

// As Model::score(), without a gradient; to be called before the media are encoded. Features of frozen encoders are the
// same for both: they are made once and stay in `batch`.
at::Tensor reference_scores(Model& model, Batch& batch, checkpoint::Reference& reference,
                            const nn::TokenScoreOptions& options = {});

}  // namespace antiphon::model
