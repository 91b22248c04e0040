// How Hugging Face directories describe vision transformers: for the plugins that load one into a Vit.
#pragma once
#include <antiphon/component/pretrained.h>
#include <antiphon/nn/blocks/vit.h>

#include <string>
#include <vector>

namespace antiphon::backbone {

// The config.json keys that all of them have.
const ForeignKeys& vit_keys();

// For a CLIP-style checkpoint (model_type `family`), its vision_config; for a vision-only one (model_type
// `family`_vision_model), the whole config.json. Error(weights) for any other model_type.
JsonTable vision_config(const PretrainedConfig& pretrained, const std::string& family);

// The parameter names of CLIP and its successors, as transformers 5 and transformers 4 write them. `own` holds the
// family's rules besides those for patches, positions and blocks; `ignored` holds the names of what it has besides the
// encoder.
NameMap clip_names(const nn::Vit& vit, const std::vector<NameRule>& own, const std::vector<std::string>& ignored);

}  // namespace antiphon::backbone
