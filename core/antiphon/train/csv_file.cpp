#include <antiphon/train/csv_file.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/json.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>

namespace antiphon::train {
namespace {

// Names come from objectives and data sets.
std::string csv_name(const std::string& name) {
  if (name.find_first_of(",\"\r\n") == std::string::npos) return name;
  std::string quoted = "\"";
  for (const char c : name) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string csv_row(int64_t step, const std::map<std::string, double>& values,
                    const std::vector<std::string>& columns) {
  auto row = std::to_string(step);
  for (const auto& column : columns) {
    const auto found = values.find(column);
    row += found == values.end() || std::isnan(found->second) ? "," : fmt::format(",{}", found->second);
  }
  return row + "\r\n";
}

}  // namespace

CsvFile::CsvFile(std::filesystem::path path, std::filesystem::path json_lines)
    : path_(std::move(path)), json_lines_(std::move(json_lines)) {
  write_whole();
}

void CsvFile::write_whole() {
  std::vector<std::pair<int64_t, std::map<std::string, double>>> rows;
  std::set<std::string> names;
  const auto text = path_exists(json_lines_, ErrorKind::config) ? read_file(json_lines_, ErrorKind::config) : "";
  for (const auto& line : split(text, '\n')) {
    const auto record = parse_json(line);
    if (!record.is_object()) continue;
    auto& row = rows.emplace_back(record.value("step", int64_t{0}), std::map<std::string, double>());
    for (const auto& [name, value] : record.items())
      if (name != "step" && value.is_number()) row.second[name] = value.get<double>(), names.insert(name);
  }
  columns_.assign(names.begin(), names.end());
  std::string table = "step";
  for (const auto& column : columns_) table += "," + csv_name(column);
  table += "\r\n";
  for (const auto& [step, values] : rows) table += csv_row(step, values, columns_);
  write_file_atomic(path_, table, ErrorKind::config);
}

bool CsvFile::add(int64_t step, const std::map<std::string, double>& values) {
  const auto has_column = [&](const auto& entry) { return std::ranges::binary_search(columns_, entry.first); };
  if (!std::ranges::all_of(values, has_column)) {
    try {
      write_whole();
      return true;
    } catch (const Error&) {
      return false;
    }
  }
  std::ofstream out(path_, std::ios::app | std::ios::binary);
  out << csv_row(step, values, columns_) << std::flush;
  return out.good();
}

}  // namespace antiphon::train
