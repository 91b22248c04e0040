// Log-probabilities of an answer's tokens as JSON.
#pragma once
#include <nlohmann/json.hpp>

#include <span>

#include <antiphon/engine/sampling.h>
#include <antiphon/text/tokenizer/tokenizer.h>

namespace antiphon::engine {

// [{id, token, logprob, top: [{id, token, logprob}, …]}, …]: natural logarithms, before penalties and temperature; the
// likeliest first. `token`: its bytes, what is not UTF-8 as U+FFFD.
nlohmann::json logprobs_json(std::span<const int32_t> ids, std::span<const TokenScores> scores,
                             const text::Tokenizer& tokenizer);

}  // namespace antiphon::engine
