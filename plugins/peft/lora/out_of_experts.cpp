#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/strings.h>

#include <algorithm>
#include <map>
#include <set>

#include "attached_stacks.h"
#include "divide.h"
#include "experts.h"
#include "file_keys.h"
#include "stack_numbers.h"

namespace antiphon::lora {
namespace {

using weights::Stack;

class OutOfExperts {
 public:
  OutOfExperts(AdapterFile& file, Peft& lora, const StackedPart& stacks)
      : file_(file),
        rules_(stacks.names.rules),
        attached_(file.path, lora, stacks),
        numbers_(file.config, lora.adapter_config()) {
    const auto targets = file.config.value(kPeftParameters, nlohmann::json::array());
    for (const auto& target : targets)
      if (target.is_string()) targets_.push_back(target);
  }

  // Whether there were any.
  bool run() {
    for (const auto& [key, value] : file_.tensors)
      if (!take(key, value)) tensors_.emplace_back(key, value);
    for (const auto& [name, change] : changes_) divide(change);
    if (changes_.empty()) return false;
    numbers_.forget();
    file_.config[kPeftParameters] = nlohmann::json::array();
    for (const auto& target : targets_)
      if (!target.ends_with(kWeightEnd) && !used_.contains(target)) file_.config[kPeftParameters].push_back(target);
    file_.tensors = std::move(tensors_);
    return true;
  }

 private:
  struct OneChange {
    Stack stack;
    StackedFactors factors;
  };

  // The module's tensors that are changed, in the order in which it has them.
  std::vector<Stack> changed_in(const std::string& module) {
    std::vector<Stack> found;
    for (const auto& rule : rules_) {
      if (rule.parameter.find('*') == std::string::npos) continue;
      const auto name = module + "." + last_of(rule.checkpoint);
      const auto target = std::ranges::find_if(targets_, [&](const auto& one) { return ends_in(name, one); });
      const auto stack = target == targets_.end() ? std::nullopt : attached_.called(name);
      if (!stack || !stack->is_of_experts() || attached_.experts_of(*stack) == 0) continue;
      used_.insert(*target);
      found.push_back(*stack);
    }
    return found;
  }

  bool take(const std::string& key, const at::Tensor& value) {
    const auto plain = without_adapter_name(key), site = lora_site(plain);
    auto module = site;
    size_t within = 0;
    for (; module.ends_with(kPeftBase); ++within) module = without_end(module, kPeftBase);
    const auto stacks = module.empty() ? std::vector<Stack>() : changed_in(module);
    if (stacks.empty()) return false;
    if (within >= stacks.size())
      attached_.refuse(module, attached_.parts_of(stacks.front().parts_of(0)),
                       fmt::format("has '{}', and {} names {} tensors of it", key, kPeftParameters, stacks.size()));
    const auto& stack = stacks[stacks.size() - 1 - within];
    auto& factors = changes_.try_emplace(stack.name, OneChange{stack, {}}).first->second.factors;
    (plain.ends_with(kFactorA) ? factors.a : plain.ends_with(kFactorB) ? factors.b : factors.lengths) = value;
    return true;
  }

  void divide(const OneChange& of) {
    const auto& [a, b, lengths] = of.factors;
    const auto experts = attached_.experts_of(of.stack);
    const auto first = attached_.parts_of(of.stack.parts_of(0));
    const bool good = a.defined() && b.defined() && !lengths.defined() && a.dim() == 2 && b.dim() == 2 &&
                      a.size(0) == b.size(1) && a.size(0) % experts == 0;
    if (!good) attached_.refuse(of.stack.name, first, fmt::format("is not a pair of factors for {} experts", experts));
    const auto rank = a.size(0) / experts;
    if (const auto why = numbers_.why_not(of.stack.name, rank); !why.empty())
      attached_.refuse(of.stack.name, first, why);
    const auto a_eri = a.view({experts, rank, a.size(1)}), b_ore = b.view({b.size(0), rank, experts});
    for (int64_t expert = 0; expert < experts; ++expert) {
      const auto parts = attached_.parts_of(of.stack.parts_of(expert));
      const StackedFactors own{a_eri.select(0, expert), b_ore.select(2, expert), {}};
      auto why = why_no_factors(own, parts);
      if (why.empty()) why = lora::divide(own, parts, tensors_);
      if (!why.empty()) attached_.refuse(of.stack.name, parts, why);
    }
  }

  AdapterFile& file_;
  const std::vector<NameRule>& rules_;
  const AttachedStacks attached_;
  StackNumbers numbers_;
  std::vector<std::string> targets_;
  std::set<std::string> used_;                // of these
  std::map<std::string, OneChange> changes_;  // by the stack's name
  decltype(AdapterFile::tensors) tensors_;
};

}  // namespace

bool out_of_experts(AdapterFile& file, Peft& lora, const StackedPart& stacks) {
  if (file.config.value(kPeftParameters, nlohmann::json::array()).empty()) return false;
  return OutOfExperts(file, lora, stacks).run();
}

}  // namespace antiphon::lora
