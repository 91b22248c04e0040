// Adapters as PEFT writes and reads them: adapter_config.json and adapter_model.safetensors in one folder.
// Keys are "base_model.model." + the path in the Hugging Face model; of virtual tokens "prompt_embeddings". Source:
// huggingface/peft, src/peft/utils/save_and_load.py (0.21).
#pragma once
#include <antiphon/component/name_map.h>
#include <antiphon/component/peft.h>
#include <antiphon/weights/load.h>
#include <antiphon/weights/stacked_adapter.h>

namespace antiphon::weights {

// Writes what is attached. `base_model` becomes base_model_name_or_path if it is not empty. `map` is the name map of
// the module that carries the adapter: it turns "layers.0.self_attn.q_proj" into the path that the Hugging Face model
// uses; without rules the names are written as they are. `of_part`: what the method trains of the part itself, by its
// names there (Peft::also_trained()); it is written, and read, as PEFT does with modules_to_save. `stacks`: the part
// with its own name map; of layers that its files hold as one, PEFT's files have that one (stacked_adapter.h).
// Error(weights) for a site that the map does not name, parameters without values, and I/O (the old files stay).
void save_adapter(const std::filesystem::path& folder, Peft& peft, const std::string& base_model,
                  const NameMap& map = {}, const std::vector<Parameter>& of_part = {},
                  const std::optional<StackedPart>& stacks = std::nullopt);

// The two halves of it: what is written, and the writing. `path`: for messages.
AdapterFile adapter_file(const std::string& path, Peft& peft, const NameMap& map, const std::vector<Parameter>& of_part,
                         const std::optional<StackedPart>& stacks);
void write_adapter(const std::filesystem::path& folder, AdapterFile file, const std::string& base_model);

// Reads an adapter into the attached parameters (on the meta device or not). Keys with the adapter's name "default"
// in them are accepted too, and those of an adapter that was trained on the part within a larger model, or alone.
// Error(weights), before anything is changed, if the file's configuration differs from what is attached (rank, alpha,
// ...), if any parameter is missing or mismatched, or if any tensor of the file has no parameter; see
// load_parameters().
LoadReport load_adapter(const std::filesystem::path& folder, Peft& peft, const NameMap& map = {},
                        const LoadOptions& options = {.name = "adapter"}, const std::vector<Parameter>& of_part = {},
                        const std::optional<StackedPart>& stacks = std::nullopt);

}  // namespace antiphon::weights
