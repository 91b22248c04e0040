#include "own_parameters.h"

#include <antiphon/base/error.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace antiphon::lora {
namespace {

using Names = std::set<std::string>;

Names of_modules(const LoraOptions& options, const PeftTarget& target) {
  Names names;
  for (const auto& module : options.modules_to_save) {
    const auto before = names.size();
    for (const auto& name : target.parameters)
      if (nn::trained_whole(module, name)) names.insert(name);
    if (names.size() == before)
      fail(ErrorKind::config, fmt::format("lora: modules_to_save: no module's name ends in '{}'", module),
           "name a module of the part that has parameters and is not named yet; a head that is the embedding has "
           "none");
  }
  return names;
}

Names biases(const LoraOptions& options, const PeftTarget& target, const std::vector<Site>& chosen) {
  Names names;
  for (const auto& name : target.parameters) {
    const auto module = name.substr(0, name.rfind('.'));
    if (options.bias == "none" || !(name == "bias" || name.ends_with(".bias"))) continue;
    if (options.bias == "all" || std::ranges::count(chosen, module, &Site::path) > 0) names.insert(name);
  }
  if (options.bias != "none" && names.empty())
    fail(ErrorKind::config, fmt::format("lora: bias = \"{}\": these layers have no biases", options.bias),
         "leave bias out");
  return names;
}

// PEFT's modules are copies: of such an embedding its file would mean another model.
void refuse_tied(const Names& names, const PeftTarget& target) {
  const auto has = [](const auto& all, const char* end) {
    return std::ranges::any_of(all, [&](const std::string& name) { return name.ends_with(end); });
  };
  if (!has(names, "embed_tokens.weight") || has(target.parameters, "lm_head.weight")) return;
  fail(ErrorKind::config, "lora: modules_to_save: the embedding is the head, too",
       "train it with [[peft]] plugin = \"selective\", targets = [\"embed_tokens\"], beside lora");
}

}  // namespace

std::vector<std::string> own_parameters(const LoraOptions& options, const PeftTarget& target,
                                        const std::vector<Site>& chosen) {
  auto names = of_modules(options, target);
  names.merge(biases(options, target, chosen));
  refuse_tied(names, target);
  return {names.begin(), names.end()};
}

}  // namespace antiphon::lora
