#include <antiphon/model/one_adapter.h>

#include <algorithm>
#include <ranges>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/model/adapter_part.h>
#include <antiphon/model/export_parts.h>
#include <antiphon/nn/linear/site_choice.h>
#include <antiphon/weights/adapter.h>
#include <antiphon/weights/stacked.h>

namespace antiphon::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kFirst = "lora_A.weight", kLengths = "lora_magnitude_vector";

// A key of PEFT's file: the site and what stands behind its dot, "lora_A.weight"; of a part that is one layer the site
// is empty. nullopt: a parameter of the part itself.
std::optional<std::pair<std::string, std::string>> site_of(const std::string& key) {
  const auto name = key.substr(kPeftPrefix.size());
  if (name.starts_with("lora_")) return std::pair(std::string(), name);
  const auto end = name.find(".lora_");
  if (end == std::string::npos) return std::nullopt;
  return std::pair(name.substr(0, end), name.substr(end + 1));
}

std::string weight_of(const std::string& site) { return site.empty() ? "weight" : site + ".weight"; }

}  // namespace

void refuse_adapter(const std::string& what, const std::string& help) {
  fail(ErrorKind::config, "no adapter of PEFT can be written: " + what, help);
}

std::string in_transformers(const WholePart& place, const std::string& name) {
  if (const auto found = only(place.modules).to_checkpoint(name)) return *found;
  for (const auto& own : {std::optional(name), only(place.names).to_parameter(name)})
    for (const auto& rule : std::views::reverse(place.names))
      if (const auto found = own ? only({rule}).to_checkpoint(*own) : std::nullopt) return *found;
  refuse_adapter(fmt::format("'{}' of {} has no name in the whole model", name, place.slot), "write a directory");
}

void check_layers(const AdapterFile& file, const NameMap& names) {
  for (const auto& [key, tensor] : file.tensors) {
    const auto site = site_of(key);
    const auto parameter = site ? names.to_parameter(weight_of(site->first)) : std::nullopt;
    if (parameter && weights::stack_with(names, *parameter))
      refuse_adapter(fmt::format("{}: '{}' is a part of what transformers has as one tensor", file.path, site->first),
                     "leave it out of `targets`, or write a directory");
    if (site && site->second == kLengths && at::count_nonzero(tensor).item<int64_t>() == 0)
      refuse_adapter(fmt::format("{}: dora begins when it is trained", file.path), "export the folder of a run");
  }
}

void OneAdapter::add(const AdapterFile& file, const WholePart& place) {
  check_same(file);
  for (const auto& [key, tensor] : file.tensors) {
    const auto found = site_of(key);
    if (!found) {
      add_whole(in_transformers(place, key.substr(kPeftPrefix.size())), tensor);
      continue;
    }
    const auto& [own, what] = *found;
    const auto site = parent_of(in_transformers(place, weight_of(own)));
    if (what == kFirst) add_site(site, own, tensor.size(0), file.config);
    tensors_.emplace_back(kPeftPrefix + site + "." + what, tensor);
  }
}

void OneAdapter::add_whole(const std::string& name, const at::Tensor& tensor) {
  modules_[parent_of(name)] = name;
  if (written_.insert(name).second) tensors_.emplace_back(kPeftPrefix + name, tensor);
}

AdapterReport OneAdapter::write(const fs::path& output, const fs::path& base) {
  config_["target_modules"] = sites_, config_["modules_to_save"] = outermost_modules();
  config_["task_type"] = nullptr;
  weights::write_adapter(output, {output.string(), tensors_, config_}, base.string());
  return {tensors_.size(), sites_.size(), config_["modules_to_save"].size(), base.string(), {}};
}

// Without those that lie in another of them.
std::vector<std::string> OneAdapter::outermost_modules() const {
  std::vector<std::string> found;
  for (const auto& [module, parameter] : modules_) {  // in order: whatever lies in one comes after it
    const auto inside = [&, name = module](const std::string& site) { return site.starts_with(name + "."); };
    if (module == parameter || std::ranges::any_of(sites_, inside))
      refuse_adapter(fmt::format("'{}' was trained, and lies in no module of its own", parameter), "write a directory");
    if (sites_.contains(module))
      refuse_adapter(fmt::format("'{}' was trained, and has LoRA, too", module), "write a directory");
    const auto holds = [&, name = module](const std::string& other) { return name.starts_with(other + "."); };
    if (std::ranges::none_of(found, holds)) found.push_back(module);
  }
  return found;
}

// What PEFT has one value of.
void OneAdapter::check_same(const AdapterFile& file) {
  if (file.config.value(kPeftMethod, "") != "LORA")
    refuse_adapter(fmt::format("{} is not LoRA", file.path), "name the methods to write with --adapter");
  if (file.config.value("bias", "none") != "none")
    refuse_adapter(fmt::format("{} trains biases, too", file.path), "write a directory");
  if (config_.is_null()) {
    config_ = file.config;
    config_["rank_pattern"] = config_["alpha_pattern"] = json::object();
    return;
  }
  for (const auto* key : {"use_dora", "use_rslora"})
    if (config_[key] != file.config[key])
      refuse_adapter(fmt::format("{} of {} is {}, of another part {}", key, file.path, file.config[key].dump(),
                                 config_[key].dump()),
                     "name one of the methods with --adapter");
}

// Rank and alpha are said for each site of which they are not those of the first part.
void OneAdapter::add_site(const std::string& site, const std::string& own, int64_t rank, const json& config) {
  if (!sites_.insert(site).second)
    refuse_adapter(fmt::format("two methods change {}", site), "name one of them with --adapter");
  double alpha = config["lora_alpha"];
  for (const auto& [pattern, number] : config["alpha_pattern"].items())
    if (nn::NamePattern::of_ends("alpha_pattern", pattern).matches(own)) alpha = number;
  if (config_["r"] != rank) config_["rank_pattern"][site] = rank;
  if (config_["lora_alpha"].get<double>() != alpha) config_["alpha_pattern"][site] = alpha;
}

}  // namespace antiphon::model
