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
#include <map>

#include <nlohmann/json.hpp>

namespace antiphon::webdataset {
namespace {

nlohmann::json yaml_of(const std::filesystem::path& file) {
  return records::parse_yaml(read_file(file, ErrorKind::data), shown(file.string()), ErrorKind::data);
}

using nlohmann::json;

// Types of samples whose fields, by name, say to no record format what they mean, and what can be written in their
// place. Others are ours (captions, questions and answers, texts, read by their fields), or have none
// (CrudeWebdataset).
const std::map<std::string, const char*>& types_that_are_not_read() {
  static const auto* all = new std::map<std::string, const char*>{
      {"SimilarityInterleaved",
       "write 'text_list', and 'image_info' with the matched_text_index of each picture, into the .json members, and "
       "take dataset.yaml away"},
      {"Interleaved",
       "write 'texts' and 'images' of one length, null in one of them at each place, into the .json members, and take "
       "dataset.yaml away"},
      {"MultiChoiceVQA",
       "write the question with its choices, and the right one, as text; then __class__: VQAWebdataset with a "
       "'field_map' of image, context and answers"},
      {"ImageClassification",
       "write __class__: CaptioningWebdataset, with a 'field_map' of image and caption: where the label's name is"},
      {"Image", "there is nothing to learn from pictures alone: give them captions, and CaptioningWebdataset"}};
  return *all;
}

// "VQA" of __class__: VQAWebdataset, or of sample_type: {__class__: VQASample}; "" if there is none.
std::string sample_type_of(const json& dataset) {
  const auto& described = dataset.contains("sample_type") ? dataset.at("sample_type") : dataset;
  if (!described.is_object() || !described.contains("__class__") || !described.at("__class__").is_string()) return {};
  auto type = described.at("__class__").get<std::string>();
  for (const std::string_view end : {"Webdataset", "Sample"})
    if (type.ends_with(end)) type.resize(type.size() - end.size());
  return type;
}

void check_type(const json& dataset, const std::string& name) {
  const auto type = sample_type_of(dataset);
  const auto found = types_that_are_not_read().find(type);
  if (found != types_that_are_not_read().end())
    fail(ErrorKind::data, fmt::format("{} is of samples of the type {}, which is not read", name, type), found->second);
}

Fields fields_in(const json& dataset, const std::string& name) {
  for (const char* key : {"sample_loader", "part_filter"})
    if (dataset.contains(key) && !dataset.at(key).is_null())
      fail(ErrorKind::data, fmt::format("{} names code under '{}', which is not run", name, key),
           "write a 'field_map' instead, or take the key out if members say themselves what they are");
  Fields fields;
  if (!dataset.contains("field_map")) return fields;
  check_type(dataset, name);
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
