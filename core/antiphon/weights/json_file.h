// JSON files of a model folder, read with limits. Used inside this area and by code that reads such files.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include <antiphon/component/json_table.h>

namespace antiphon::weights {

// The object in a JSON file of at most 100 MB and 64 levels, without duplicate keys in an object. Error(weights) with
// file:line:column.
nlohmann::json read_json_object(const std::filesystem::path& path);

// The same as a table that knows its file; exists() is false if there is no such file. FILE.gguf/config.json is what
// the metadata of a GGUF file say (gguf_checkpoint.h).
JsonTable read_json_table(const std::filesystem::path& path);

// Writes it atomically, indented by two spaces, with a final newline.
void write_json(const std::filesystem::path& path, const nlohmann::json& value);

}  // namespace antiphon::weights
