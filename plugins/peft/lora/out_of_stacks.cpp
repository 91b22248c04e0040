#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/weights/stacked.h>

#include <map>

#include "divide.h"
#include "file_keys.h"
#include "stack_numbers.h"
#include "stacks.h"

namespace antiphon::lora {
namespace {

using weights::Stack, weights::stack_called, weights::stack_with;
using Tensors = decltype(AdapterFile::tensors);

// A stack, and what the file says of it, by the ends of the keys.
struct StackChange {
  Stack stack;
  std::map<std::string, at::Tensor> tensors;

  StackedFactors factors() const {
    const auto with = [&](const std::string& end) {
      const auto found = tensors.find(end);
      return found == tensors.end() ? at::Tensor() : found->second;
    };
    return {with(kFactorA), with(kFactorB), with(kLengths)};
  }
};

class Unstacking {
 public:
  Unstacking(AdapterFile& file, Peft& lora, const StackedPart& stacks)
      : file_(file),
        names_(stacks.names),
        own_names_{names_.rules, {}, {}},
        rows_(weights::rows_of_parameters(stacks.part)),
        numbers_(file.config, lora.adapter_config()) {
    for (const auto& parameter : lora.module().parameters())
      if (parameter.name.ends_with(kFactorA))
        ranks_[without_end(parameter.name, kFactorA)] = parameter.whole_sizes().front();
  }

  // Whether there were any.
  bool run() {
    std::map<std::string, StackChange> changes;  // by the stack's name
    for (const auto& [key, value] : file_.tensors) {
      const auto plain = without_adapter_name(key), site = lora_site(plain);
      const auto stack = site.empty() ? std::nullopt : stack_at(site);
      if (!stack) {
        keep(key, plain, value);
        continue;
      }
      auto& change = changes.try_emplace(stack->name, StackChange{*stack, {}}).first->second;
      if (!change.tensors.emplace(plain.substr(kPeftPrefix.size() + site.size()), value).second)
        refuse(*stack, fmt::format("is there twice, the second time as '{}'", key));
    }
    if (changes.empty()) return false;
    for (const auto& [name, change] : changes) divide(change);
    numbers_.forget();
    file_.tensors = std::move(parts_);
    return true;
  }

 private:
  // The stack of a module as PEFT calls it, in this part or as it lies within a larger or a smaller model.
  std::optional<Stack> stack_at(const std::string& site) const {
    if (const auto found = stack_called(names_, site + kWeightEnd)) return found;
    for (size_t begin = 0, dot = 0; dot != std::string::npos; begin = dot + 1) {
      for (const auto* start : {"", "model."})
        if (const auto own = stack_called(own_names_, start + site.substr(begin) + kWeightEnd))
          return stack_with(names_, own->parts.front());
      dot = site.find('.', begin);
    }
    return std::nullopt;
  }

  void keep(const std::string& key, const std::string& plain, const at::Tensor& value) {
    if (any_module_of(plain, [&](const auto& module) { return stack_at(module).has_value(); }))
      fail(ErrorKind::weights,
           fmt::format("{}: '{}' is of a layer that is several here; of these, LoRA alone can be taken apart",
                       file_.path, key),
           "train the adapter here, or merge it into the weights in PEFT");
    parts_.emplace_back(key, value);
  }

  [[noreturn]] void refuse(const Stack& stack, const std::string& what) const {
    std::vector<std::string> sites;
    for (const auto& part : parts_of(stack)) sites.push_back(part.site);
    fail(ErrorKind::weights,
         fmt::format("{}: the change of {} {}", file_.path, without_end(stack.name, kWeightEnd), what),
         fmt::format("configure the adapter as it was trained, on {}", fmt::join(sites, ", ")));
  }

  std::vector<PartOfChange> parts_of(const Stack& stack) const {
    std::vector<PartOfChange> parts;
    for (const auto& parameter : stack.parts) {
      const auto site = without_end(names_.to_checkpoint(parameter).value_or(parameter), kWeightEnd);
      const auto rank = ranks_.find(site);
      parts.push_back({site, rows_.at(parameter), rank == ranks_.end() ? 0 : rank->second});
    }
    return parts;
  }

  void divide(const StackChange& of) {
    const auto change = of.factors();
    const auto parts = parts_of(of.stack);
    auto why = why_no_factors(change, parts);
    if (why.empty()) why = numbers_.why_not(without_end(of.stack.name, kWeightEnd), change.a.size(0));
    if (why.empty()) why = lora::divide(change, parts, parts_);
    if (!why.empty()) refuse(of.stack, why);
  }

  AdapterFile& file_;
  const NameMap& names_;
  const NameMap own_names_;
  std::unordered_map<std::string, int64_t> rows_;
  StackNumbers numbers_;
  std::unordered_map<std::string, int64_t> ranks_;  // of the attached adapters, by site
  Tensors parts_;
};

}  // namespace

bool out_of_stacks(AdapterFile& file, Peft& lora, const StackedPart& stacks) {
  return file.config.value(kPeftMethod, nlohmann::json()) == "LORA" && Unstacking(file, lora, stacks).run();
}

}  // namespace antiphon::lora
