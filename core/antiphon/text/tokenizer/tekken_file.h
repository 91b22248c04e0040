// tekken.json, the tokenizers of Mistral from Nemo on (Voxtral, Pixtral, Mistral Small): ranks of bytes as tiktoken has
// them, the pattern that cuts words, and control tokens. Source: mistralai/mistral-common,
// src/mistral_common/tokens/tokenizers/{tekken,base}.py.
//
// The ids of control tokens come first, then those of the ranks. A text that spells a control token may be a token of
// the ranks, too: both have an id of their own.
#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace antiphon::text {

inline constexpr const char* kTekkenName = "tekken.json";

// As a tokenizer.json, whose added tokens have ids of their own, and what a tokenizer_config.json says of it. Config
// error, naming the field, for what is missing or has another type, ranks that are not in order or doubled, fewer ranks
// than the vocabulary needs, and control tokens that are doubled or have no place.
struct TekkenTokenizer {
  nlohmann::json file, config;
  std::string version;  // "v7": of the layout of conversations
};
TekkenTokenizer read_tekken(std::string_view bytes);

}  // namespace antiphon::text
