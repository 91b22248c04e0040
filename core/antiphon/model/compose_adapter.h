// The folder of a PEFT adapter as a composition: its base model, with the adapter in the slots of all parts that it
// changes. An adapter may lie beside the model itself, in one folder; transformers puts it on the model.
#pragma once
#include <filesystem>

#include <antiphon/config/value.h>

namespace antiphon::model {

// Holds adapter_config.json, and no model of its own.
bool is_adapter_folder(const std::filesystem::path& directory);
// Holds both.
bool holds_adapter(const std::filesystem::path& directory);
// The [model] table. Error(weights) if the base is not a directory here, Error(plugin) if no method reads the adapter,
// and Error(weights) for tensors of a part that is not known.
config::Value compose_adapter(const std::filesystem::path& directory);

}  // namespace antiphon::model
