// The keys of transformers' GenerationConfig (5.23). For generation_config.cpp.
#pragma once
#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

namespace antiphon::engine {

// What is not done here, each with the value that asks for nothing.
const std::vector<std::pair<std::string, nlohmann::json>>& absent_generation_keys();

// Whether GenerationConfig has it. What is not above is taken, or changes no answer here, whatever its value: the stop
// ids and their like, which the tokenizer has; what is for beams, an assistant model or another kind of model; how
// transformers runs, and what it returns.
bool is_generation_key(const std::string& key);

}  // namespace antiphon::engine
