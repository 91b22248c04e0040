// How Hugging Face directories describe vision transformers, and the text towers beside them: for the plugins that load
// one.
#pragma once
#include <antiphon/component/pretrained.h>
#include <antiphon/nn/blocks/vit.h>

#include <string>
#include <vector>

namespace antiphon::backbone {

// The config.json keys that all of them have.
const ForeignKeys& vit_keys();

// config.json of a CLIP: in early files each half has a second table, text_config_dict or vision_config_dict, and that
// one counts, with the class's defaults for what it leaves out (transformers: models/clip/configuration_clip.py,
// CLIPConfig).
JsonTable with_config_dicts(const JsonTable& config);

// Of a CLIP-style checkpoint (model_type `family`) the table of one half, "vision" or "text"; of one that is this half
// alone (model_type `family`_vision_model) all of config.json. Error(weights), which names `plugin`, for any other
// model_type.
JsonTable half_config(const PretrainedConfig& pretrained, const std::string& plugin, const std::string& family,
                      const std::string& half);

// The names of their blocks and those of nn::EncoderLayer.
std::vector<NameRule> encoder_layer_names();

// The parameter names of CLIP and its successors, as transformers 5 and transformers 4 write them. `own` holds the
// family's rules besides those for patches, positions and blocks; `ignored` holds the names of what it has besides the
// encoder.
NameMap clip_names(const nn::Vit& vit, const std::vector<NameRule>& own, const std::vector<std::string>& ignored);

}  // namespace antiphon::backbone
