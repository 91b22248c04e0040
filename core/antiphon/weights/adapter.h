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

// What a folder of PEFT's holds. Error(weights) if it is not such a folder, or a file in it is malformed.
struct AdapterFiles {
  std::filesystem::path folder;
  nlohmann::json config;                                // adapter_config.json
  std::shared_ptr<const Checkpoint> tensors = nullptr;  // nullptr: load_adapter() opens them
};
AdapterFiles adapter_files(const std::filesystem::path& folder);
std::shared_ptr<const Checkpoint> adapter_tensors(const std::filesystem::path& folder);
// "DIR/adapter_config.json"
std::string adapter_config_path(const std::filesystem::path& folder);

// Reads an adapter into the attached parameters (on the meta device or not). Keys with the adapter's name "default"
// in them are accepted too, and those of an adapter that was trained on the part within a larger model, or alone.
// Error(weights), before anything is changed, if the file's configuration differs from what is attached (rank, alpha,
// ...), if any parameter is missing or mismatched, or if any tensor of the file has no parameter; see
// load_parameters().
LoadReport load_adapter(const std::filesystem::path& folder, Peft& peft, const NameMap& map = {},
                        const LoadOptions& options = {.name = "adapter"}, const std::vector<Parameter>& of_part = {},
                        const std::optional<StackedPart>& stacks = std::nullopt);
LoadReport load_adapter(AdapterFiles files, Peft& peft, const NameMap& map = {},
                        const LoadOptions& options = {.name = "adapter"}, const std::vector<Parameter>& of_part = {},
                        const std::optional<StackedPart>& stacks = std::nullopt);

// A key of a language model within a larger model as it is in that of the language model alone; others as they are.
std::string alone(const std::string& key);

}  // namespace antiphon::weights
