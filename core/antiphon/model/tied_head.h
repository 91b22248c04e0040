// Whether a language model's head is its embedding: config.json says so, and the checkpoint shows it.
#pragma once
#include <string>
#include <vector>

#include <antiphon/component/name_map.h>
#include <antiphon/component/pretrained.h>

namespace antiphon::model {

// If config.json ties the head but the checkpoint holds one of its own, the checkpoint wins, with a warning: as in
// transformers. `whole`: see NameMap. Reads the head and the embedding in that case only; no checkpoint: nothing to do.
void untie_by_content(PretrainedConfig& pretrained, const std::string& directory, const std::vector<NameRule>& whole);

}  // namespace antiphon::model
