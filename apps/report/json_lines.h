// Files of one JSON object per line, as a run leaves them behind.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>

namespace antiphon::apps::report {

struct LineCounts {
  int64_t good = 0, broken = 0;
  bool cut = false;  // the last line was not written to its end: the run was killed, or is still writing
};

// Calls `use` for each object; a missing file has none. Lines that hold no object are counted, not used.
LineCounts for_each_object(const std::filesystem::path& path, const std::function<void(const nlohmann::json&)>& use);

// Members of another type count as missing.
std::string text_or(const nlohmann::json& object, const char* key, const std::string& otherwise = {});
// NaN if there is no number.
double number_or_nan(const nlohmann::json& object, const char* key);

}  // namespace antiphon::apps::report
