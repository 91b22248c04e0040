// What a model gives of a batch under the reference that an objective compares with.
#pragma once
#include <antiphon/checkpoint/reference.h>
#include <antiphon/model/model.h>

#include <span>
#include <vector>

namespace antiphon::model {

// Of each batch, as Model::score_all_chunks(), without a gradient; to be called before the media are encoded. Features
// of frozen encoders are the same for both: they are made once and stay in the batches.
std::vector<at::Tensor> reference_scores(Model& model, std::span<Batch> batches, checkpoint::Reference& reference,
                                         const nn::TokenScoreOptions& options = {});

}  // namespace antiphon::model
