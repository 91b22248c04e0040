// Changes to the logits of the next token that depend on the text so far. Source: transformers,
// generation/logits_process.py: RepetitionPenalty, NoRepeatNGram and SuppressTokens, in this order.
#pragma once
#include <cstdint>
#include <span>

#include <antiphon/engine/options.h>

namespace antiphon::engine {

bool changes_logits(const GenerateOptions& options);

// `seen`: the prompt and the answer so far; negative at media positions. In place.
void process_logits(std::span<float> logits_v, std::span<const int64_t> seen, const GenerateOptions& options);

}  // namespace antiphon::engine
