// Answers of a model that several processes have together, or in pieces: without a cache of keys and values, each token
// by a pass through all of the text so far, as training has it.
#pragma once
#include <antiphon/comm/group.h>
#include <antiphon/engine/engine.h>

namespace antiphon::engine {

// Processes that have the model together; one of them, `root`, has the logits. nullptr: this one has it alone.
struct TogetherWith {
  comm::Group* block = nullptr;
  int root = 0;
};

// As answers_to(): in all processes of the block, which call it alike with the same prompts. Without gradients.
// Error(data) if a prompt leaves no room.
std::vector<Answer> answers_by_passes(model::MultimodalLm& model, std::vector<data::Prepared> prompts,
                                      const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
                                      const std::optional<text::Tokenizer>& tokenizer, const TogetherWith& together);

}  // namespace antiphon::engine
