// The keys of transformers' GenerationConfig (5.23). For generation_config.cpp.
#pragma once
#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

namespace antiphon::engine {

// The keys that are not supported here, each with the value that asks for nothing.
const std::vector<std::pair<std::string, nlohmann::json>>& absent_generation_keys();

// Whether GenerationConfig has the key. Those not listed above are taken, or change no answer here, whatever their
// value (but a cache_implementation of "quantized", which is named): the stop ids and their like, which the tokenizer
// has; what is for an assistant model or another kind of model; how transformers runs, and what it returns.
bool is_generation_key(const std::string& key);

}  // namespace antiphon::engine
