#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/strings.h>
#include <antiphon/weights/stacked.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "experts.h"
#include "file_keys.h"
#include "stack_numbers.h"

namespace antiphon::lora {
namespace {

using weights::Stack;
using OfParts = std::vector<std::vector<at::Tensor>>;  // of each part the experts'; undefined: it has none

std::string module_with(const std::string& name) { return name.substr(0, name.rfind('.')); }

struct ExpertsChange {
  Stack stack;
  OfParts a, b;

  ExpertsChange(const Stack& s, int64_t experts)
      : stack(s), a(s.parts.size(), std::vector<at::Tensor>(static_cast<size_t>(experts))), b(a) {}
  size_t experts() const { return a.front().size(); }
  int64_t rank() const {
    int64_t sum = 0;
    for (const auto& part : a) sum += part.front().defined() ? part.front().size(0) : 0;
    return sum;
  }
};

class IntoExperts {
 public:
  IntoExperts(AdapterFile& file, const StackedPart& stacks)
      : file_(file), names_(stacks.names), rows_(weights::rows_of_parameters(stacks.part)) {}

  // Why not; empty: it is done.
  std::string run() {
    decltype(AdapterFile::tensors) tensors;
    for (const auto& [key, value] : file_.tensors)
      if (!take(key, value)) tensors.emplace_back(key, value), others_.insert(lora_site(key));
    if (auto why = why_not(); !why.empty() || changes_.empty()) return why;
    for (const auto& [name, change] : changes_) write(change, tensors);
    std::map<std::string, int64_t> ranks;
    for (const auto& [name, change] : changes_) ranks[name] = change.rank();
    put_stack_numbers(file_.config, ranks), put_targets();
    file_.config["lora_dropout"] = 0.0;
    file_.tensors = std::move(tensors);
    return {};
  }

 private:
  struct Place {
    std::string stack;
    size_t part = 0, expert = 0;
  };

  std::optional<Stack> stack_with(const std::string& parameter) const {
    const auto stack = weights::stack_with(names_, parameter, /*in_memory=*/true);
    return stack && stack->is_of_experts() ? stack : std::nullopt;
  }

  // Where a site's factors stand in a stack; nullptr: it is none of experts.
  const Place* place_of(const std::string& site) {
    const auto parameter = names_.to_parameter(site + kWeightEnd);
    if (!parameter) return nullptr;
    if (const auto known = places_.find(*parameter); known != places_.end()) return &known->second;
    const auto stack = stack_with(*parameter);
    if (!stack) return nullptr;
    const auto experts = weights::experts_of(*stack, rows_);
    changes_.try_emplace(stack->name, *stack, experts);
    for (int64_t expert = 0; expert < experts; ++expert) {
      const auto parts = stack->parts_of(expert);
      for (size_t part = 0; part < parts.size(); ++part)
        places_[parts[part]] = {stack->name, part, static_cast<size_t>(expert)};
    }
    const auto found = places_.find(*parameter);
    return found == places_.end() ? nullptr : &found->second;
  }

  bool take(const std::string& key, const at::Tensor& value) {
    const auto site = lora_site(key);
    const auto* place = site.empty() ? nullptr : place_of(site);
    if (!place) {
      unsayable_ |= any_module_of(key, [&](const auto& module) { return place_of(module) != nullptr; });
      return false;
    }
    sites_.insert(site);
    auto& change = changes_.at(place->stack);
    if (key.ends_with(kLengths))
      unsayable_ = true;
    else
      (key.ends_with(kFactorA) ? change.a : change.b)[place->part][place->expert] = value.detach().to(at::kCPU);
    return true;
  }

  std::string why_not() const {
    if (unsayable_) return "only LoRA's factors can be said of experts";
    for (const auto& [name, change] : changes_) {
      for (const char* key : {"rank_pattern", "alpha_pattern"})
        if (const auto found = file_.config.find(key); found != file_.config.end() && !found->empty())
          return fmt::format("{} gives layers numbers of their own", key);
      for (const auto& part : change.a) {
        const auto given = std::ranges::count_if(part, [](const auto& factor) { return factor.defined(); });
        if (given > 0 && given < std::ssize(part))
          return fmt::format("{} is changed for {} of {} experts", name, given, part.size());
      }
    }
    return {};
  }

  // An expert's factors: A of its parts one below the other, B on the diagonal.
  std::pair<at::Tensor, at::Tensor> of_expert(const ExpertsChange& change, size_t expert) const {
    const auto parts = change.stack.parts_of(static_cast<int64_t>(expert));
    int64_t rows = 0, row = 0, column = 0;
    for (const auto& part : parts) rows += rows_.at(part);
    std::vector<at::Tensor> a;
    at::Tensor b;
    for (size_t i = 0; i < parts.size(); row += rows_.at(parts[i++])) {
      const auto& own = change.b[i][expert];
      if (!own.defined()) continue;
      if (!b.defined()) b = at::zeros({rows, change.rank()}, own.options());
      b.narrow(0, row, own.size(0)).narrow(1, column, own.size(1)).copy_(own);
      a.push_back(change.a[i][expert]), column += own.size(1);
    }
    return {at::cat(a), b};
  }

  // The module's tensors before the last are wrapped, in the order in which it has them.
  std::string key_of(const std::string& name) const {
    auto module = module_with(name);
    std::vector<std::string> changed;
    for (const auto& rule : names_.rules)
      if (const auto one = module + "." + last_of(rule.checkpoint); changes_.contains(one)) changed.push_back(one);
    const auto after = changed.end() - std::ranges::find(changed, name) - 1;
    for (std::ptrdiff_t i = 0; i < after; ++i) module += kPeftBase;
    return kPeftPrefix + module;
  }

  void write(const ExpertsChange& change, decltype(AdapterFile::tensors)& out) const {
    std::vector<at::Tensor> a, b;
    for (size_t expert = 0; expert < change.experts(); ++expert) {
      auto [own_a, own_b] = of_expert(change, expert);
      a.push_back(std::move(own_a)), b.push_back(std::move(own_b));
    }
    const auto key = key_of(change.stack.name);
    out.emplace_back(key + kFactorA, at::cat(a));
    out.emplace_back(key + kFactorB, at::stack(b, 2).flatten(1));
  }

  // A last name stands for all layers, if all are changed; a target that no layer beside the experts has is left out.
  void put_targets() {
    std::set<std::string> stacks, parameters;
    for (const auto& [parameter, rows] : rows_)
      if (const auto stack = stack_with(parameter)) stacks.insert(stack->name);
    const auto short_name = [](const std::string& name) { return last_of(module_with(name)) + "." + last_of(name); };
    for (const auto& [name, change] : changes_) {
      const bool all = std::ranges::all_of(
          stacks, [&](const auto& other) { return changes_.contains(other) || short_name(other) != short_name(name); });
      parameters.insert(all ? short_name(name) : name);
    }
    auto targets = nlohmann::json::array();
    for (const auto& target : file_.config.at("target_modules")) {
      const auto names = [&](const auto& site) { return ends_in(site, target.template get<std::string>()); };
      if (std::ranges::any_of(others_, names) || std::ranges::none_of(sites_, names)) targets.push_back(target);
    }
    file_.config["target_modules"] = targets, file_.config[kPeftParameters] = parameters;
  }

  AdapterFile& file_;
  const NameMap& names_;
  std::unordered_map<std::string, int64_t> rows_;
  std::map<std::string, ExpertsChange> changes_;   // by the stack's name
  std::unordered_map<std::string, Place> places_;  // of parameters
  std::set<std::string> sites_, others_;           // of experts, and of other layers
  bool unsayable_ = false;
};

}  // namespace

std::string into_experts(AdapterFile& file, const StackedPart& stacks) { return IntoExperts(file, stacks).run(); }

}  // namespace antiphon::lora
