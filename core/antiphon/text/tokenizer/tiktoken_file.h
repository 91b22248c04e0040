// tiktoken's files of ranks: a line for each token, its bytes in base64 and its rank, which is its id. The pattern that
// cuts words and the special tokens are not in them; they follow from the file's name. Sources: openai/tiktoken,
// tiktoken_ext/openai_public.py (0.14); meta-llama/llama-models, models/llama3/tokenizer.py; Qwen's
// tokenization_qwen.py.
#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::text {

// Whether a file begins as such a file does.
bool is_tiktoken(std::string_view bytes);

// As a tokenizer.json. `name` is the file's: "tokenizer.model" (Llama 3), "qwen.tiktoken", "cl100k_base.tiktoken",
// "o200k_base.tiktoken", "r50k_base.tiktoken" or "p50k_base.tiktoken". `own_special`: the special tokens come from
// elsewhere. Config error, naming it and the line, for other names, and ranks or bytes that are malformed or doubled.
nlohmann::json tiktoken_json(std::string_view bytes, const std::string& name, bool own_special);

}  // namespace antiphon::text
