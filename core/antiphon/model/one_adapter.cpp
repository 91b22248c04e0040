#include <antiphon/model/one_adapter.h>

#include <algorithm>
#include <ranges>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/model/adapter_part.h>
#include <antiphon/model/export_parts.h>
#include <antiphon/weights/adapter.h>
#include <antiphon/weights/stacked.h>

namespace antiphon::model {
namespace {

namespace fs = std::filesystem;

std::string weight_of(const std::string& layer) { return layer.empty() ? "weight" : layer + ".weight"; }

std::string layer_in(const WholePart& place, const NameMap& names, const std::string& path, const std::string& layer) {
  const auto parameter = names.to_parameter(weight_of(layer));
  if (parameter && weights::stack_with(names, *parameter))
    refuse_adapter(fmt::format("{}: '{}' is a part of what transformers has as one tensor", path, layer),
                   "leave it out of `targets`, or write a directory");
  return parent_of(in_transformers(place, weight_of(layer)));
}

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

void OneAdapter::add(const AttachedPeft& peft, const WholePart& place) {
  const auto path = fmt::format("{}.peft.{}", peft.owner, peft.index);
  if (peft.tokens != TokenChoice::all)
    refuse_adapter(path + " changes some tokens only", "name the methods to write with --adapter");
  const auto trained = peft.also_trained();
  auto file = weights::adapter_file(path, *peft.method, {}, trained, StackedPart{peft.names, *peft.part});
  std::erase_if(file.tensors, [&](const auto& tensor) {
    return std::ranges::any_of(trained, [&](const auto& one) { return peft.method->key_of(one.name) == tensor.first; });
  });
  const auto method = file.config.value(kPeftMethod, "");
  if (!method_.empty() && method != method_)
    refuse_adapter(fmt::format("{} is {}, beside {}", path, method, method_), "name one of them with --adapter");
  method_ = method;
  const auto why = peft.method->join(
      whole_, file, [&](const std::string& layer) { return layer_in(place, peft.names, path, layer); });
  if (!why.empty()) refuse_adapter(why, "name the methods to write with --adapter, or write a directory");
  for (const auto& parameter : trained) add_whole(in_transformers(place, parameter.name), *parameter.tensor);
}

void OneAdapter::add_whole(const std::string& name, const at::Tensor& tensor) {
  modules_[parent_of(name)] = name;
  if (written_.insert(name).second) whole_.tensors.emplace_back(kPeftPrefix + name, tensor);
}

AdapterReport OneAdapter::write(const fs::path& output, const fs::path& base) {
  const auto sites = whole_.config.at("target_modules").get<std::set<std::string>>();
  const auto modules = outermost_modules(sites);
  whole_.config["target_modules"] = sites, whole_.config["modules_to_save"] = modules;
  whole_.config["task_type"] = nullptr;
  const auto tensors = whole_.tensors.size();
  whole_.path = output.string();
  weights::write_adapter(output, std::move(whole_), base.string());
  return {tensors, sites.size(), modules.size(), base.string(), {}};
}

// Without those that lie in another of them.
std::vector<std::string> OneAdapter::outermost_modules(const std::set<std::string>& sites) const {
  std::vector<std::string> found;
  for (const auto& [module, parameter] : modules_) {  // in order: whatever lies in one comes after it
    const auto inside = [&, name = module](const std::string& site) { return site.starts_with(name + "."); };
    if (module == parameter || std::ranges::any_of(sites, inside))
      refuse_adapter(fmt::format("'{}' was trained, and lies in no module of its own", parameter), "write a directory");
    if (sites.contains(module))
      refuse_adapter(fmt::format("'{}' was trained, and has an adapter, too", module), "write a directory");
    const auto holds = [&, name = module](const std::string& other) { return name.starts_with(other + "."); };
    if (std::ranges::none_of(found, holds)) found.push_back(module);
  }
  return found;
}

}  // namespace antiphon::model
