// What a shared object exports.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace antiphon::apps::conformance {

// Names of the dynamic symbols that the file defines for others, sorted. Error(plugin) if it cannot be read.
std::vector<std::string> exported_symbols(const std::filesystem::path& file);

}  // namespace antiphon::apps::conformance
