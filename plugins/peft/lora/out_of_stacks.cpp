#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <map>

#include "attached_stacks.h"
#include "divide.h"
#include "experts.h"
#include "file_keys.h"
#include "stack_numbers.h"
#include "stacks.h"

namespace antiphon::lora {
namespace {

using weights::Stack;
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
      : file_(file), attached_(file.path, lora, stacks), numbers_(file.config, lora.adapter_config()) {}

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
  std::optional<Stack> stack_at(const std::string& site) const { return attached_.called(site + kWeightEnd); }

  void keep(const std::string& key, const std::string& plain, const at::Tensor& value) {
    if (any_module_of(plain, [&](const auto& module) { return stack_at(module).has_value(); }))
      fail(ErrorKind::weights,
           fmt::format("{}: '{}' is of a layer that is several here; of these, LoRA alone can be taken apart",
                       file_.path, key),
           "train the adapter here, or merge it into the weights in PEFT");
    parts_.emplace_back(key, value);
  }

  [[noreturn]] void refuse(const Stack& stack, const std::string& what) const {
    attached_.refuse(without_end(stack.name, kWeightEnd), attached_.parts_of(stack.parts), what);
  }

  void divide(const StackChange& of) {
    const auto change = of.factors();
    const auto parts = attached_.parts_of(of.stack.parts);
    auto why = why_no_factors(change, parts);
    if (why.empty()) why = numbers_.why_not(without_end(of.stack.name, kWeightEnd), change.a.size(0));
    if (why.empty()) why = lora::divide(change, parts, parts_);
    if (!why.empty()) refuse(of.stack, why);
  }

  AdapterFile& file_;
  const AttachedStacks attached_;
  StackNumbers numbers_;
  Tensors parts_;
};

}  // namespace

bool out_of_stacks(AdapterFile& file, Peft& lora, const StackedPart& stacks) {
  if (file.config.value(kPeftMethod, nlohmann::json()) != "LORA") return false;
  const bool of_experts = out_of_experts(file, lora, stacks);
  return Unstacking(file, lora, stacks).run() || of_experts;
}

}  // namespace antiphon::lora
