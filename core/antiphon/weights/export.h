// Writes a module as a Hugging Face folder that transformers loads.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>
#include <antiphon/weights/checkpoint.h>

namespace antiphon::weights {

// Every parameter of the module under its checkpoint name (parts of stacks under their own: stacked.h), in its own
// dtype. Error(weights) that lists the parameters that the map does not name, those that are still on the meta device,
// and names that two parameters would take.
NamedTensors checkpoint_tensors(Module& module, const NameMap& map);

// The tensors (see save_checkpoint()) and config.json.
void save_pretrained(const std::filesystem::path& folder, Module& module, const NameMap& map,
                     const nlohmann::json& config, uint64_t max_shard_bytes = 5'000'000'000);

// Copies those of the named files that exist.
void copy_files(const std::filesystem::path& from, const std::filesystem::path& folder,
                const std::vector<std::string>& names);
// The same for the files that say how text goes in and out of a model: tokenizer, chat template, generation.
void copy_tokenizer(const std::filesystem::path& from, const std::filesystem::path& folder);

}  // namespace antiphon::weights
