#include <antiphon/model/adapter_part.h>

#include <algorithm>
#include <functional>
#include <ranges>
#include <set>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/model/export_parts.h>
#include <antiphon/model/whole_model.h>
#include <antiphon/nn/linear/site_choice.h>

namespace antiphon::model {
namespace {

using nlohmann::json;

struct Named {
  std::optional<std::string> name;
  size_t beginning = 0;  // letters of the rule before what it leaves open
};

Named by_rules(const std::vector<NameRule>& rules, const std::string& name) {
  Named best;
  for (const auto& rule : rules) {
    const size_t beginning = std::min(rule.checkpoint.find('{'), rule.checkpoint.size());
    if (best.name && beginning <= best.beginning) continue;
    if (auto found = only({rule}).to_parameter(name)) best = {std::move(found), beginning};
  }
  return best;
}

// In the whole model; as it is for the values of virtual tokens.
std::string path_of(const std::string& key) {
  return key.starts_with(kPeftPrefix) ? without_adapter_name(key).substr(kPeftPrefix.size()) : key;
}

// Rules may name no more than a layer's weight.
template <class Of>
auto first_of(const std::string& path, Of&& of) -> decltype(of(path, std::string())) {
  if (auto found = of(path, std::string())) return found;
  for (const auto& module : modules_of(path))
    if (auto found = of(module + ".weight", path.substr(module.size()))) return found;
  return {};
}

using Rename = std::function<std::optional<std::string>(const std::string&)>;

// Through rules for tensors, of which a layer's adapter has more than its files: "x.weight" stands for
// "x.lora_A.weight", for example.
std::optional<std::string> renamed_key(const std::string& path, const Rename& rename) {
  return first_of(path, [&](const std::string& name, const std::string& end) -> std::optional<std::string> {
    const auto found = rename(name);
    if (!found || end.empty()) return found;
    if (*found == "weight") return end.substr(1);  // the part is one layer
    return found->ends_with(".weight") ? std::optional(parent_of(*found) + end) : std::nullopt;
  });
}

std::optional<std::string> key_in_part(const AdapterPlace& place, const std::string& path) {
  const auto own = renamed_key(path, [&](const auto& name) { return name_in_part(place, name); });
  if (!own) return std::nullopt;
  const auto spelt = renamed_key(*own, [&](const auto& name) {
    const auto parameter = place.names.to_parameter(name);
    return parameter ? place.names.to_checkpoint(*parameter) : std::nullopt;
  });
  return spelt ? spelt : own;
}

bool key_is_of_others(const AdapterPlace& place, const std::string& path) {
  return first_of(path, [&](const std::string& name, const std::string&) { return is_of_others(place, name); });
}

// A regular expression that the name alone matches.
std::string escaped(const std::string& name) {
  std::string text;
  for (const char c : name) text += std::string(c == '.' ? "\\" : "") + c;
  return text;
}

// By the part's modules, each of which the pattern matches by its name in the whole model.
json own_patterns(const json& patterns, const std::string& key, const std::set<std::string>& paths,
                  const AdapterPlace& place) {
  auto own = json::object();
  const auto note = [&](const std::string& module, const json& number) {
    const auto before = own.find(module);
    if (before != own.end() && *before != number)
      fail(ErrorKind::weights,
           fmt::format("{}: two patterns match {} and say {} and {}", key, module, before->dump(), number.dump()),
           "PEFT takes the first of them: write patterns of which one matches each layer");
    own[module] = number;
  };
  for (const auto& [source, number] : patterns.items()) {
    const auto pattern = nn::NamePattern::of_ends(key, source);
    for (const auto& path : paths)
      for (const auto& module : modules_of(path))
        if (const auto name = pattern.matches(module) ? key_in_part(place, module + ".weight") : std::nullopt)
          note(*name == "weight" ? std::string() : escaped(parent_of(*name)), number);
  }
  return own;
}

// Ids of tokens by the part's tables, which the setting may name as they are in the whole model.
void take_own_tables(json& config, const AdapterPlace& place) {
  const auto found = config.find(kPeftTokenIndices);
  if (found == config.end() || !found->is_object()) return;
  auto own = json::object();
  for (const auto& [table, ids] : found->items()) {
    const auto weight = table + ".weight";
    const auto name = place.own.empty() ? path_of(weights::alone(kPeftPrefix + weight)) : key_in_part(place, weight);
    own[name ? parent_of(*name) : table] = ids;
  }
  *found = std::move(own);
}

// Those of the whole modules that are kept, in which the part has something.
json own_modules(const json& modules, const std::set<std::string>& paths) {
  auto own = json::array();
  for (const auto& module : modules)
    if (module.is_string() && std::ranges::any_of(paths, [&](const std::string& path) {
          return nn::trained_whole(module.get<std::string>(), path);
        }))
      own.push_back(module);
  return own;
}

// Those changed tensors in whose module the part has something, which a whole name calls as it is called there.
json own_tensors(const json& tensors, const std::set<std::string>& paths, const AdapterPlace& place) {
  std::set<std::string> own;
  const auto take = [&](const std::string& tensor) {
    const auto parent = parent_of(tensor);
    if (parent == tensor) return void(own.insert(tensor));  // in any module
    for (const auto& path : paths)
      for (const auto& module : modules_of(path)) {
        const auto name = ends_in(module, parent) ? key_in_part(place, module + ".weight") : std::nullopt;
        if (!name) continue;
        const auto here = parent_of(*name);
        own.insert(ends_in(here, parent) ? tensor : here + tensor.substr(parent.size()));
      }
  };
  for (const auto& tensor : tensors)
    if (tensor.is_string()) take(tensor.get<std::string>());
  return own;
}

}  // namespace

AdapterPlace adapter_place(const std::string& weights, const std::string& part, const NameMap& names) {
  if (part.empty() || !path_exists(weights, ErrorKind::weights)) return {};
  return adapter_place(WholeModel(weights), part, names);
}

AdapterPlace adapter_place(const WholeModel& whole, const std::string& part, const NameMap& names) {
  AdapterPlace place;
  place.names.rules = names.rules;
  for (const auto& one : whole.parts()) {
    auto& rules = one.name == part ? place.own : place.others;
    rules.insert(rules.end(), one.modules.begin(), one.modules.end());
    rules.insert(rules.end(), one.names.begin(), one.names.end());
  }
  return place;
}

std::string parent_of(const std::string& name) { return name.substr(0, name.rfind('.')); }

std::optional<std::string> name_in_part(const AdapterPlace& place, const std::string& name) {
  auto own = by_rules(place.own, name);
  const auto other = by_rules(place.others, name);
  return other.name && other.beginning > own.beginning ? std::nullopt : std::move(own.name);
}

bool is_of_others(const AdapterPlace& place, const std::string& name) {
  return by_rules(place.others, name).name && !name_in_part(place, name);
}

PartOfAdapter part_of(weights::AdapterFiles files, const AdapterPlace& place) {
  if (!files.tensors) files.tensors = weights::adapter_tensors(files.folder);
  take_own_tables(files.config, place);
  if (place.own.empty()) return {std::move(files), {}, {}};
  PartOfAdapter part{std::move(files), {}, {}};
  weights::LazyTensors own;
  std::set<std::string> paths;
  for (const auto& key : part.files.tensors->names()) {
    const auto path = path_of(key);
    if (const auto name = path == key ? std::nullopt : key_in_part(place, path)) {
      own.push_back(lazily(part.files.tensors, key, kPeftPrefix + *name));
      paths.insert(path), part.taken.push_back(key);
    } else if (path != key && key_is_of_others(place, path)) {
      part.left.push_back(key);
    } else {
      own.push_back(lazily(part.files.tensors, key, key));
    }
  }
  auto& config = part.files.config;
  for (const auto& [key, value] : config.items())
    if (is_of_patterns(key, value)) value = own_patterns(value, key, paths, place);
  if (const auto found = config.find("modules_to_save"); found != config.end() && found->is_array())
    *found = own_modules(*found, paths);
  if (const auto found = config.find(kPeftParameters); found != config.end() && found->is_array())
    *found = own_tensors(*found, paths, place);
  part.files.tensors = std::make_shared<const weights::Checkpoint>(part.files.tensors->path(), own);
  if (std::ranges::none_of(part.files.tensors->names(),
                           [](const auto& key) { return without_adapter_name(key).ends_with(kPeftTokens); }))
    config.erase(kPeftTokenIndices);
  return part;
}

}  // namespace antiphon::model
