// What families of whole models have in common (model_family.h).
#pragma once
#include <antiphon/component/model_family.h>

namespace antiphon {

// A language model, a tower and a projector between them, by the names of LLaVA's directories: as files on disk have
// them, then as transformers 5 has them in memory. `projector`: its rules, behind either of projector_prefixes().
std::vector<WholePart> picture_parts(const std::vector<NameRule>& projector);
// The same with Whisper's encoder, of whose directories it has names.
std::vector<WholePart> sound_parts(const std::vector<NameRule>& projector);
std::vector<std::string> projector_prefixes();

// The slot of a part of a whole model's directory.
config::Value::Table part_slot(const std::string& plugin, const std::string& directory, const std::string& part);

// The [model] table of a language model and a stream of pictures.
config::Value picture_model(config::Value::Table llm, config::Value::Table stream);

// Patches on an edge of what a tower sees, by its table.
int64_t patches_on_edge(const JsonTable& tower);
// The whole number that `key` is one over, such as the edge of squares that are joined by their share of the vectors.
// Error(weights) if it is none.
int64_t one_over(const JsonTable& config, const std::string& key, double usual);

// `key` of config.json: the tower's feature layer, by default `usual`. `tower`: its table, which says how many blocks
// there are, by default `blocks`. Error(weights) for several layers, and for one that is not there.
int64_t feature_layer(const JsonTable& config, const std::string& key, const std::string& tower, int64_t blocks,
                      int64_t usual);
// The same for towers whose hidden_states in transformers never have their final norm, which "layer = -1" of an encoder
// has: -2 by default, and the number of the last block for -1.
int64_t feature_layer_without_norm(const JsonTable& config, const std::string& key, const std::string& tower,
                                   int64_t blocks);
// The inverse: writes the encoder's layer in a [model] table, if it says one.
void write_feature_layer(const config::Value& model, const std::string& key, nlohmann::json& config);
// Writes the option at `path` of a [model] table as `key`, if the table says it.
void write_option(const config::Value& model, const std::string& path, const std::string& key, nlohmann::json& config);
// The same for keys that have room for whole numbers only. Error(config) for another.
void write_whole_number(const config::Value& model, const std::string& path, const std::string& key,
                        nlohmann::json& config);

}  // namespace antiphon
