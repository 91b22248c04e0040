// How Hugging Face directories describe vision transformers: for the plugins that put one on a Vit.
#pragma once
#include <antiphon/component/pretrained.h>
#include <antiphon/nn/blocks/vit.h>

#include <string>
#include <vector>

namespace antiphon::backbone {

// The keys of a config.json that all of them have.
const ForeignKeys& vit_keys();

// Of a directory of picture and text (model_type `family`) the picture's half; of that half alone (model_type
// `family`_vision_model) all of config.json. Error(weights) for any other model_type.
JsonTable vision_config(const PretrainedConfig& pretrained, const std::string& family);

// The names of CLIP and of what follows it, as transformers 5 and transformers 4 write them. `own` and `ignored` are
// the family's: its rules besides those of patches, positions and blocks, and what it has besides the encoder.
NameMap clip_names(const nn::Vit& vit, const std::vector<NameRule>& own, const std::vector<std::string>& ignored);

}  // namespace antiphon::backbone
