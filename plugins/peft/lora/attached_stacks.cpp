#include "attached_stacks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>

#include <utility>

#include "file_keys.h"

namespace antiphon::lora {

using weights::Stack, weights::stack_called, weights::stack_with;

AttachedStacks::AttachedStacks(std::string path, Peft& lora, const StackedPart& stacks)
    : path_(std::move(path)),
      names_(stacks.names),
      own_names_{names_.rules, {}, {}},
      rows_(weights::rows_of_parameters(stacks.part)) {
  for (const auto& parameter : lora.module().parameters())
    if (parameter.name.ends_with(kFactorA))
      ranks_[without_end(parameter.name, kFactorA)] = parameter.whole_sizes().front();
}

std::optional<Stack> AttachedStacks::called(const std::string& tensor) const {
  if (const auto found = stack_called(names_, tensor)) return found;
  for (size_t begin = 0, dot = 0; dot != std::string::npos; begin = dot + 1) {
    for (const auto* start : {"", "model."})
      if (const auto own = stack_called(own_names_, start + tensor.substr(begin)))
        return own->is_of_experts() ? own : stack_with(names_, own->parts.front());
    dot = tensor.find('.', begin);
  }
  return std::nullopt;
}

std::vector<PartOfChange> AttachedStacks::parts_of(const std::vector<std::string>& parameters) const {
  std::vector<PartOfChange> parts;
  for (const auto& parameter : parameters) {
    const auto site = without_end(names_.to_checkpoint(parameter).value_or(parameter), kWeightEnd);
    const auto rank = ranks_.find(site);
    parts.push_back({site, rows_.at(parameter), rank == ranks_.end() ? 0 : rank->second});
  }
  return parts;
}

void AttachedStacks::refuse(const std::string& stack, const std::vector<PartOfChange>& parts,
                            const std::string& what) const {
  std::vector<std::string> sites;
  for (const auto& part : parts) sites.push_back(part.site);
  fail(ErrorKind::weights, fmt::format("{}: the change of {} {}", path_, stack, what),
       fmt::format("configure the adapter as it was trained, on {}", fmt::join(sites, ", ")));
}

}  // namespace antiphon::lora
