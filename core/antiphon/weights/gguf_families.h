// What config.json of some families has beyond what all have, out of a GGUF file and into one. Used inside this area.
#pragma once
#include <nlohmann/json.hpp>

#include <antiphon/component/json_table.h>
#include <antiphon/weights/gguf_model.h>
#include <antiphon/weights/gguf_names.h>

namespace antiphon::weights {

inline constexpr const char *kShortFactors = "rope_factors_short.weight", *kLongFactors = "rope_factors_long.weight";

// Of config.json and its table of rotary embeddings, under the keys of transformers 4 and 5.
double rope_theta(const JsonTable& config, const JsonTable& rope, double usual = 1e4);
std::string rope_type(const JsonTable& rope);  // by default "default"

// Adds them to `config`, which has what all have, or changes it. Error(weights) for values that a file cannot have.
void add_gemma(const GgufFile& file, nlohmann::json& config);
void add_phi3(const GgufFile& file, nlohmann::json& config);

// See GgufArchitecture::put_keys. Error(weights) for models that llama.cpp would compute otherwise.
void put_gemma(GgufModel& out, const JsonTable& config, const JsonTable& rope);
void put_phi3(GgufModel& out, const JsonTable& config, const JsonTable& rope);

}  // namespace antiphon::weights
