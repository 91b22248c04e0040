#include <antiphon/model/adapter_settings.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/adapter_file.h>
#include <antiphon/nn/linear/site_choice.h>
#include <antiphon/weights/stacked.h>

namespace antiphon::model {
namespace {

using Names = std::set<std::string>;
using nlohmann::json;

// Whether a tensor of that name is among what PEFT's file says is changed.
bool is_targeted(const json& config, const std::string& name) {
  const auto found = config.find(kPeftParameters);
  return found != config.end() && found->is_array() && std::ranges::any_of(*found, [&](const json& target) {
           return target.is_string() && ends_in(name, target.get_ref<const std::string&>());
         });
}

// The sites by the names that a file may have for them: their own, and that of the layer of transformers' model in
// which they are one of several; of experts that of the module that has the tensor.
std::map<std::string, std::vector<std::string>> sites_by_name(const PeftTarget& target, const NameMap& names,
                                                              const json& config) {
  std::map<std::string, std::vector<std::string>> all;
  const std::string weight = ".weight";
  const auto tensors = config.find(kPeftParameters);
  const bool in_memory = tensors != config.end() && !tensors->empty();
  for (const auto& table : target.tables) all[table.path].push_back(table.path);
  for (const auto& site : target.sites) {
    all[site.path].push_back(site.path);
    const auto parameter = names.to_parameter(site.path + weight);
    const auto stack = parameter ? weights::stack_with(names, *parameter, in_memory) : std::nullopt;
    const bool of_experts = stack && stack->is_of_experts();
    if (of_experts ? is_targeted(config, stack->name) : stack && stack->name.ends_with(weight))
      all[stack->name.substr(0, stack->name.rfind('.'))].push_back(site.path);
  }
  return all;
}

// The innermost module on the path that is one of these, in whatever it lies; a part may be one layer, without a name.
std::string known_module(const std::string& path, const std::map<std::string, std::vector<std::string>>& known) {
  for (size_t end = path.rfind('.'); end != std::string::npos && end > 0; end = path.rfind('.', end - 1))
    for (size_t begin = 0; begin < end; begin = std::min(path.find('.', begin), end) + 1)
      if (auto name = path.substr(begin, end - begin); known.contains(name)) return name;
  return {};
}

std::string last_part(const std::string& name) { return name.substr(name.rfind('.') + 1); }

// Whether the method trains a table itself, whose weight in the file is then no copy.
bool is_trained(const json& config, const std::string& table) {
  for (const auto* key : {"modules_to_save", "target_modules"}) {
    const auto found = config.find(key);
    if (found == config.end()) continue;
    if (found->is_string() && found->get<std::string>().find(last_part(table)) != std::string::npos) return true;
    if (found->is_array() && std::ranges::any_of(*found, [&](const json& name) {
          return name.is_string() && last_part(name.get<std::string>()) == last_part(table);
        }))
      return true;
  }
  return false;
}

// PEFT writes tables of tokens as they were beside what is trained (Peft::copies_of_part()).
bool is_copy(const std::string& path, const std::vector<Site>& tables, const json& config) {
  return std::ranges::any_of(tables, [&](const Site& site) {
    const auto changed = kPeftBase + ".weight";
    return path == site.path + changed || path == site.path + kPeftTokenAdapter + changed ||
           (path == site.path + ".weight" && !is_trained(config, site.path));
  });
}

// Last parts of names if these alone say it.
json as_targets(const Names& chosen, const std::vector<Site>& sites) {
  Names ends;
  for (const auto& name : chosen) ends.insert(last_part(name));
  const auto same = static_cast<size_t>(
      std::ranges::count_if(sites, [&](const Site& site) { return ends.contains(last_part(site.path)); }));
  return same == chosen.size() ? json(ends) : json(chosen);
}

// PEFT's modules are meant by the ends of their names, so that one may stand for another.
json as_modules(const Names& modules) {
  auto all = json::array();
  for (const auto& module : modules)
    if (std::ranges::none_of(modules, [&](const auto& other) { return other != module && module.ends_with(other); }))
      all.push_back(module);
  return all;
}

// Those that are about sites here: what is said of layers that are one in transformers belongs to the file alone.
json patterns_of(const Names& sites, const std::string& key, const json& patterns) {
  auto kept = json::object();
  for (const auto& [source, number] : patterns.items()) {
    const auto pattern = nn::NamePattern::of_ends(key, source);
    if (std::ranges::any_of(sites, [&](const auto& site) { return pattern.matches(site); })) kept[source] = number;
  }
  return kept;
}

}  // namespace

PretrainedConfig adapter_settings(const weights::AdapterFiles& files, const PeftTarget& target, const NameMap& names) {
  const auto sites = sites_by_name(target, names, files.config);
  const std::unordered_set<std::string> parameters(target.parameters.begin(), target.parameters.end());
  Names chosen, modules;
  bool has_biases = false, has_tokens = false;
  const auto bias = files.config.find(kPeftBias);
  const bool trains_biases = bias != files.config.end() && bias->is_string() && *bias != "none";
  for (const auto& key : files.tensors->names()) {
    if (!key.starts_with(kPeftPrefix)) continue;
    const auto plain = without_adapter_name(key);
    auto path = plain.substr(kPeftPrefix.size());
    if (!parameters.contains(path) && known_module(path, sites).empty())
      path = weights::alone(plain).substr(kPeftPrefix.size());
    has_biases |= path.ends_with("bias");  // those of changed layers have names of their own
    if (path.ends_with(kPeftTokens)) {     // `trainable_token_indices` says that
      has_tokens = true;
      continue;
    }
    if (is_copy(path, target.tables, files.config)) continue;
    if (parameters.contains(path)) {
      if (trains_biases && path.ends_with(".bias")) continue;  // `bias` says that
      modules.insert(path.substr(0, path.find('.') == std::string::npos ? 0 : path.rfind('.')));
    } else if (const auto found = sites.find(known_module(path, sites)); found != sites.end()) {
      chosen.insert(found->second.begin(), found->second.end());
    }
  }
  auto config = files.config;
  for (const auto* key : {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"})
    config.erase(key);
  if (!has_biases) config.erase(kPeftBias);  // then load_adapter() says what the file wants
  if (!has_tokens) config.erase(kPeftTokenIndices);
  auto places = target.sites;
  places.insert(places.end(), target.tables.begin(), target.tables.end());
  if (!chosen.empty() || !modules.empty() || has_tokens) config["target_modules"] = as_targets(chosen, places);
  if (const auto saved = config.find("modules_to_save"); saved != config.end() && saved->is_array() && !saved->empty())
    *saved = as_modules(modules);
  for (const auto& [key, value] : config.items())
    if (is_of_patterns(key, value)) value = patterns_of(chosen, key, value);
  PretrainedConfig settings;
  settings.config = JsonTable(std::move(config), weights::adapter_config_path(files.folder));
  return settings;
}

}  // namespace antiphon::model
