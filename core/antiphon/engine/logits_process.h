// Changes to the logits of the next token that depend on the text so far. Source: transformers,
// generation/logits_process.py: SequenceBias, EncoderRepetitionPenalty, RepetitionPenalty, NoRepeatNGram,
// EncoderNoRepeatNGram, NoBadWords, MinLength, MinNewTokensLength, ForcedBOSToken, ForcedEOSToken, InfNanRemove,
// ExponentialDecayLengthPenalty, SuppressTokens and SuppressTokensAtBegin, in this order.
//
// Presence and frequency penalties, after RepetitionPenalty: logit -= frequency * count + presence * (count > 0), where
// count is how often the answer has the token (OpenAI, API reference, "Frequency and presence penalties").
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <span>

#include <antiphon/engine/options.h>

namespace antiphon::engine {

// `seen`: the prompt and the answer so far; negative at media positions.
struct TextSoFar {
  std::span<const int64_t> seen = {};
  size_t prompt = 0;  // of these, how many are the prompt's
  std::span<const int32_t> stop_ids = {};
  int64_t left = std::numeric_limits<int64_t>::max();  // tokens that the answer may still have, the next one included
};

inline constexpr const char* kNoToken = "no token may come next: all are suppressed, banned or beside what is forced";
inline constexpr const char* kNoTokenRemedy = "suppress fewer tokens, or force one that is not suppressed";

// What remove_invalid_values makes of infinite logits.
inline constexpr float kLargest = std::numeric_limits<float>::max();

bool changes_logits(const GenerateOptions& options);

// In place.
void process_logits(std::span<float> logits_v, const TextSoFar& text, const GenerateOptions& options);
// rows [rows, vocab_size] fp32, contiguous, on the CPU: each in place by its own text.
void process_rows(const at::Tensor& rows, std::span<const TextSoFar> texts, const GenerateOptions& options);
// Logits as remove_invalid_values counts them.
at::Tensor finite(const at::Tensor& logits);

}  // namespace antiphon::engine
