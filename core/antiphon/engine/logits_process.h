// Changes to the logits of the next token that depend on the text so far. Source: transformers,
// generation/logits_process.py: RepetitionPenalty, NoRepeatNGram, NoBadWords, MinNewTokensLength, SuppressTokens and
// SuppressTokensAtBegin, in this order.
// Presence and frequency penalties, after the first: logit -= frequency * count + presence * (count > 0), where count
// is how often the answer has the token (OpenAI, API reference, "Frequency and presence penalties").
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include <antiphon/engine/options.h>

namespace antiphon::engine {

// `seen`: the prompt and the answer so far; negative at media positions.
struct TextSoFar {
  std::span<const int64_t> seen = {};
  size_t prompt = 0;  // of these, how many are the prompt's
  std::span<const int32_t> stop_ids = {};
};

bool changes_logits(const GenerateOptions& options);

// In place.
void process_logits(std::span<float> logits_v, const TextSoFar& text, const GenerateOptions& options);
// rows [rows, vocab_size] fp32, contiguous, on the CPU: each in place by its own text.
void process_rows(const at::Tensor& rows, std::span<const TextSoFar> texts, const GenerateOptions& options);

}  // namespace antiphon::engine
