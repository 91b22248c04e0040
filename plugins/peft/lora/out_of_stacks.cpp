#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/weights/stacked.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "file_keys.h"
#include "stacks.h"

namespace antiphon::lora {
namespace {

using nlohmann::json;
using weights::Stack, weights::stack_called, weights::stack_with;
using Tensors = decltype(AdapterFile::tensors);

double scale_of(const json& config, double r, double alpha) {
  return alpha / (config.value("use_rslora", false) ? std::sqrt(r) : r);
}

// A part of a stack, and the rank of the adapter that is attached to it; 0: none is.
struct PartOfChange {
  std::string site;
  int64_t rows, rank;
};

class Unstacking {
 public:
  Unstacking(AdapterFile& file, Peft& lora, const StackedPart& stacks)
      : file_(file),
        config_(file.config),
        names_(stacks.names),
        own_names_{names_.rules, {}, {}},
        rows_(weights::rows_of_parameters(stacks.part)),
        attached_(lora.adapter_config()) {
    for (const auto& parameter : lora.module().parameters())
      if (parameter.name.ends_with(kFactorA))
        ranks_[without_end(parameter.name, kFactorA)] = parameter.whole_sizes().front();
  }

  // Whether there were any.
  bool run() {
    std::map<std::string, Change> changes;  // by the stack's name
    for (const auto& [key, value] : file_.tensors) {
      const auto plain = without_adapter_name(key), site = lora_site(plain);
      const auto stack = site.empty() ? std::nullopt : stack_at(site);
      if (!stack) {
        keep(key, plain, value);
        continue;
      }
      auto& change = changes.try_emplace(stack->name, Change{*stack, {}}).first->second;
      if (!change.tensors.emplace(plain.substr(kPeftPrefix.size() + site.size()), value).second)
        refuse(*stack, fmt::format("is there twice, the second time as '{}'", key));
    }
    if (changes.empty()) return false;
    for (const auto& [name, change] : changes) divide(change);
    for (const auto& [pattern, names] : used_)
      for (const auto& name : names) config_[pattern].erase(name);
    file_.tensors = std::move(parts_);
    return true;
  }

 private:
  struct Change {
    Stack stack;
    std::map<std::string, at::Tensor> tensors;  // by the ends of their keys
  };

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

  // A number of the stack's own, whose entry means nothing else.
  double number(const std::string& pattern, const std::string& site, const char* otherwise) {
    const auto found = config_.find(pattern);
    if (found != config_.end() && found->is_object())
      for (const auto& [name, value] : found->items())
        if (is_named(site, name) && value.is_number()) {
          used_[pattern].insert(name);
          return value.get<double>();
        }
    return config_.value(otherwise, 0.0);
  }

  void check_scale(const Stack& stack, int64_t rank) {
    const auto site = without_end(stack.name, kWeightEnd);
    const double r = number("rank_pattern", site, "r"), alpha = number("alpha_pattern", site, "lora_alpha");
    if (static_cast<double>(rank) != r) refuse(stack, fmt::format("has rank {}, and its settings say {}", rank, r));
    const double got = scale_of(config_, r, alpha),
                 own = scale_of(attached_, attached_.value("r", 1.0), attached_.value("lora_alpha", 0.0));
    if (!(std::abs(got - own) <= 1e-9 * std::abs(own)))
      refuse(stack, fmt::format("is multiplied by {}, and that of the attached adapters by {}", got, own));
  }

  void divide(const Change& change) {
    const auto& stack = change.stack;
    const auto parts = parts_of(stack);
    const auto tensor = [&](const std::string& end) {
      const auto found = change.tensors.find(end);
      return found == change.tensors.end() ? at::Tensor() : found->second;
    };
    const auto a = tensor(kFactorA), b = tensor(kFactorB), lengths = tensor(kLengths);
    int64_t rows = 0, all = 0, largest = 0;
    for (const auto& part : parts) rows += part.rows, all += part.rank, largest = std::max(largest, part.rank);
    const bool fits = a.defined() && b.defined() && a.dim() == 2 && b.dim() == 2 && b.size(0) == rows &&
                      a.size(0) == b.size(1) && (!lengths.defined() || (lengths.dim() == 1 && lengths.size(0) == rows));
    if (!fits) refuse(stack, fmt::format("is no pair of factors for {} rows", rows));
    check_scale(stack, a.size(0));
    const bool shared = a.size(0) == largest && largest > 0;
    if (!shared && (a.size(0) != all || all == 0))
      refuse(stack, fmt::format("has rank {}, neither that of the attached adapters, {}, nor their sum, {}", a.size(0),
                                largest, all));
    int64_t row = 0, column = 0;
    for (const auto& part : parts) {
      const auto own = b.narrow(0, row, part.rows);
      const auto mine = shared ? own.narrow(1, 0, part.rank) : own.narrow(1, column, part.rank);
      if (mine.count_nonzero().item<int64_t>() != own.count_nonzero().item<int64_t>())
        refuse(stack, fmt::format("reaches {} by more than the rank {} of its adapter", part.site, part.rank));
      if (part.rank == 0 && lengths.defined()) refuse(stack, fmt::format("has DoRA's lengths of {}, too", part.site));
      if (part.rank > 0) {
        const auto key = kPeftPrefix + part.site;
        parts_.emplace_back(key + kFactorA, a.narrow(0, shared ? 0 : column, part.rank));
        parts_.emplace_back(key + kFactorB, mine.contiguous());
        if (lengths.defined()) parts_.emplace_back(key + kLengths, lengths.narrow(0, row, part.rows));
      }
      row += part.rows, column += part.rank;
    }
  }

  AdapterFile& file_;
  json& config_;
  const NameMap& names_;
  const NameMap own_names_;
  std::unordered_map<std::string, int64_t> rows_;
  const json attached_;
  std::unordered_map<std::string, int64_t> ranks_;  // of the attached adapters, by site
  std::map<std::string, std::set<std::string>> used_;
  Tensors parts_;
};

}  // namespace

bool out_of_stacks(AdapterFile& file, Peft& lora, const StackedPart& stacks) {
  return file.config.value(kPeftMethod, json()) == "LORA" && Unstacking(file, lora, stacks).run();
}

}  // namespace antiphon::lora
