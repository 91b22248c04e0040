// What a manifest says of a file. Used inside this area.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>

namespace antiphon::checkpoint {

// {"bytes": size, "xxh3": 128-bit hash} of what the file holds, without a copy of it in memory. Error(weights) as
// read_file().
nlohmann::json file_digest(const std::filesystem::path& path);

}  // namespace antiphon::checkpoint
