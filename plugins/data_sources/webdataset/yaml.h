// The part of YAML that data sets' descriptions are written in: maps and lists by indentation, and plain values.
#pragma once
#include <filesystem>

#include <nlohmann/json.hpp>

namespace antiphon::webdataset {

// As JSON; values that are not written as numbers, true, false or null are texts. Error(data) with the line for what is
// beyond that part: anchors, tags, texts of several lines.
nlohmann::json parse_yaml(const std::filesystem::path& path);

}  // namespace antiphon::webdataset
