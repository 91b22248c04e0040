// What a manifest says about a file. Used inside this area.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>

namespace antiphon::checkpoint {

// {"bytes": size, "xxh3": 128-bit hash} of the file's contents, without a copy of them in memory. Error(weights) as
// read_file().
nlohmann::json file_digest(const std::filesystem::path& path);

}  // namespace antiphon::checkpoint
