#include <report/json_lines.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/json.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

namespace antiphon::apps::report {

LineCounts for_each_object(const std::filesystem::path& path, const std::function<void(const nlohmann::json&)>& use) {
  LineCounts counts;
  if (!path_exists(path, ErrorKind::config)) return counts;
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(path, unknown))  // a pipe would be waited for
    fail(ErrorKind::config, shown(path.string()) + " is not a regular file", "give the folder of a run");
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (trim(line).empty()) continue;
    const auto record = parse_json(line);
    if (record.is_object()) {
      use(record);
      ++counts.good;
    } else if (in.eof()) {
      counts.cut = true;
    } else {
      ++counts.broken;
    }
  }
  return counts;
}

std::string text_or(const nlohmann::json& object, const char* key, const std::string& otherwise) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : otherwise;
}

double number_or_nan(const nlohmann::json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<double>() : std::nan("");
}

}  // namespace antiphon::apps::report
