// Source: Megatron Energon, megatron/energon/metadataset/metadataset.py and metadataset_v2.py (0.x to 7.x).
#include "metadataset.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/record/yaml.h>

#include <array>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

namespace antiphon::webdataset {
namespace {

using nlohmann::json;

// A list of sets under one of Energon's keys, and what says the same here.
struct Kind {
  const char* key;    // of the list
  const char* often;  // of an element: how often it comes; "": once
  const char* blend;  // data.blend
};
// Repetitions are of each sample: a source's rate is then weight x samples.
constexpr std::array<Kind, 4> kKinds{{{"datasets", "weight", "by_weight"},
                                      {"blend", "weight", "by_weight"},
                                      {"blend_epochized", "repetitions", "by_size"},
                                      {"concat", "", "by_size"}}};

std::optional<std::string> text_in(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

struct Place {
  std::filesystem::path folder;  // of the metadataset
  std::string part;
};

// A source of the configuration that says the same as an element; nothing if that says more than a source can.
std::optional<std::string> source_of(const json& one, const char* often, const Place& place) {
  const auto path = one.is_object() ? text_in(one, "path") : std::nullopt;
  if (!path || path->ends_with(".yaml") || path->ends_with(".yml")) return std::nullopt;
  auto source = fmt::format("path = {}", json((place.folder / *path).string()).dump());
  for (const auto& [key, value] : one.items()) {
    if (key == often && value.is_number())
      source += fmt::format(", weight = {}", value.dump());
    else if (key != "path" && key != "split_part" && key != "subflavor" && key != "subflavors" &&
             key != "shuffle_over_epochs_multiplier")
      return std::nullopt;
  }
  if (const auto part = text_in(one, "split_part").value_or(place.part); part != "train")
    source += fmt::format(", source = \"webdataset\", source_options = {{ part = {} }}", json(part).dump());
  return "{ " + source + " }";
}

// What to write in the configuration; nothing if the part is more than one list of sets.
std::optional<std::string> setting_of(const json& split, const Place& place) {
  for (const auto& kind : kKinds) {
    if (!split.contains(kind.key) || !split.at(kind.key).is_array() || split.size() != 1) continue;
    std::vector<std::string> sources;
    for (const auto& one : split.at(kind.key)) {
      const auto source = source_of(one, kind.often, place);
      if (!source) return std::nullopt;
      sources.push_back(*source);
    }
    return fmt::format("data.blend = \"{}\" and data.train.sources = [{}]", kind.blend, join(sources, ", "));
  }
  const auto source = source_of(split, "", place);
  return source ? std::optional("data.train.sources = [" + *source + "]") : std::nullopt;
}

}  // namespace

bool is_metadataset(const FileStart& start) {
  const auto extension = start.path.extension();
  return (extension == ".yaml" || extension == ".yml") && start.bytes.find("Metadataset") != std::string_view::npos;
}

void refuse_metadataset(const std::filesystem::path& file, const std::string& part) {
  const auto name = shown(file.string());
  const auto what = name +
                    " is a metadataset of Energon; which sets there are, and how often each comes, is said in the "
                    "configuration";
  const auto all = records::parse_yaml(read_file(file, ErrorKind::data), name, ErrorKind::data);
  const auto splits = all.find("splits");
  const bool has_part = splits != all.end() && splits->is_object() && splits->contains(part);
  const auto& split = has_part ? splits->at(part) : all;
  const auto setting =
      has_part && split.is_object() ? setting_of(split, {file.parent_path(), part}) : std::optional<std::string>();
  if (setting) fail(ErrorKind::data, what, fmt::format("write for its part '{}': {}", shown(part), *setting));
  fail(ErrorKind::data, what,
       "write one [[data.train.sources]] with a 'path' for each of its sets: with blend = \"by_weight\" and a 'weight' "
       "for "
       "'blend', with blend = \"by_size\" and the repetitions as 'weight' for 'blend_epochized'; sets that it joins, "
       "and "
       "subsets, are written as sets of their own first");
}

}  // namespace antiphon::webdataset
