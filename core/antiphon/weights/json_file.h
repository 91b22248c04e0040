// JSON files of a model folder, read with limits. Used inside this area and by what reads such files.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include <antiphon/component/json_table.h>

namespace antiphon::weights {

// The object in a JSON file of at most 100 MB and 64 levels, no key of which stands twice in one object. Error(weights)
// with file:line:column.
nlohmann::json read_json_object(const std::filesystem::path& path);

// The same as a table that tells where it comes from; one that does not exist() if there is no such file.
JsonTable read_json_table(const std::filesystem::path& path);

// Writes it with two blanks of indentation and a final line end, atomically.
void write_json(const std::filesystem::path& path, const nlohmann::json& value);

}  // namespace antiphon::weights
