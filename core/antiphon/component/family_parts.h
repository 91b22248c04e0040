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

}  // namespace antiphon
