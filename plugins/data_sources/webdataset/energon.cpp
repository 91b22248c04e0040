// Source: Megatron Energon, docs/source/basic/data_prep.md and advanced/data_prep (dataset.yaml, split.yaml).
#include "energon.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/record/shards.h>
#include <antiphon/component/record/yaml.h>

#include <algorithm>

#include <nlohmann/json.hpp>

namespace antiphon::webdataset {
namespace {

nlohmann::json yaml_of(const std::filesystem::path& file) {
  return records::parse_yaml(read_file(file, ErrorKind::data), shown(file.string()), ErrorKind::data);
}

using nlohmann::json;

Fields fields_in(const json& dataset, const std::string& name) {
  for (const char* key : {"sample_loader", "part_filter"})
    if (dataset.contains(key) && !dataset.at(key).is_null())
      fail(ErrorKind::data, fmt::format("{} names code under '{}', which is not run", name, key),
           "write a 'field_map' instead, or take the key out if members say themselves what they are");
  Fields fields;
  if (!dataset.contains("field_map")) return fields;
  if (!dataset.at("field_map").is_object()) fail(ErrorKind::data, name + ": 'field_map' is not a map");
  for (const auto& [key, source] : dataset.at("field_map").items()) {
    if (!source.is_string()) fail(ErrorKind::data, fmt::format("{}: 'field_map: {}' is not a text", name, shown(key)));
    fields[key] = source.get<std::string>();
  }
  return fields;
}

std::vector<std::string> texts_in(const json& list, const std::string& what) {
  std::vector<std::string> texts;
  if (list.is_null()) return texts;
  const bool texts_alone =
      list.is_array() && std::ranges::all_of(list, [](const json& one) { return one.is_string(); });
  if (!texts_alone) fail(ErrorKind::data, what + " is not a list of names");
  return list.get<std::vector<std::string>>();
}

const json& part_in(const json& split, const std::string& part, const std::string& name) {
  if (!split.contains("split_parts") || !split.at("split_parts").is_object())
    fail(ErrorKind::data, name + " has no map 'split_parts'");
  const auto& parts = split.at("split_parts");
  std::vector<std::string> known;
  for (const auto& [key, value] : parts.items()) known.push_back(key);
  if (!parts.contains(part))
    fail(ErrorKind::data, fmt::format("{} has no part '{}'; it has {}", name, shown(part), join(known, ", ")),
         "name one: source_options = { part = \"…\" }");
  return parts.at(part);
}

std::vector<std::filesystem::path> shards_in(const std::filesystem::path& folder, const std::string& part) {
  const auto file = folder / ".nv-meta" / "split.yaml";
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored))
    fail(ErrorKind::data, shown(file.string()) + " is not there, which says what shards belong to which part",
         "prepare the folder with Energon, or name the archives: path = \"folder/*.tar\"");
  const auto name = shown(file.string());
  const auto split = yaml_of(file);
  std::vector<std::filesystem::path> shards;
  std::vector<std::filesystem::path> excluded;
  for (const auto& one :
       split.contains("exclude") ? texts_in(split.at("exclude"), name + ": 'exclude'") : std::vector<std::string>{}) {
    if (!one.ends_with(".tar"))
      fail(ErrorKind::data,
           fmt::format("{} excludes the sample '{}'; only whole shards can be left out", name, shown(one)));
    std::ranges::move(records::files_of(folder / one), std::back_inserter(excluded));
  }
  for (const auto& pattern : texts_in(part_in(split, part, name), fmt::format("{}: '{}'", name, shown(part))))
    for (const auto& shard : records::files_of(folder / pattern))
      if (std::ranges::find(excluded, shard) == excluded.end()) shards.push_back(shard);
  if (shards.empty()) fail(ErrorKind::data, fmt::format("the part '{}' of {} has no shards", shown(part), name));
  return shards;
}

}  // namespace

bool is_prepared(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::is_directory(folder / ".nv-meta", ignored);
}

Prepared read_prepared(const std::filesystem::path& folder, const std::string& part) {
  const auto file = folder / ".nv-meta" / "dataset.yaml";
  std::error_code ignored;
  Prepared out{shards_in(folder, part), {}};
  if (std::filesystem::exists(file, ignored)) out.fields = fields_in(yaml_of(file), shown(file.string()));
  return out;
}

}  // namespace antiphon::webdataset
