#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/weights/adapter_keys.h>
#include <antiphon/weights/stacked_adapter.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace antiphon::weights {
namespace {

using nlohmann::json;

double scale_of(const json& config, double r, double alpha) {
  return alpha / (config.value("use_rslora", false) ? std::sqrt(r) : r);
}

// A part of a stack, and the rank of the adapter that is attached to it; 0: none is.
struct PartOfChange {
  std::string site;
  int64_t rows, rank;
};

class AdapterUnstacking {
 public:
  AdapterUnstacking(std::shared_ptr<const Checkpoint> file, json& config, Peft& peft, const StackedPart& stacks)
      : file_(std::move(file)),
        config_(config),
        names_(stacks.names),
        own_names_{names_.rules, {}, {}},
        rows_(rows_of_parameters(stacks.part)),
        attached_(peft.adapter_config()) {
    for (const auto& parameter : peft.module().parameters())
      if (parameter.name.ends_with(kFactorA))
        ranks_[without_end(parameter.name, kFactorA)] = parameter.whole_sizes().front();
  }

  std::shared_ptr<const Checkpoint> run() {
    std::map<std::string, std::pair<Stack, std::map<std::string, std::string>>> stacks;  // keys by their ends
    for (const auto& key : file_->names()) {
      const auto plain = without_adapter_name(key), site = lora_site(plain);
      const auto stack = site.empty() ? std::nullopt : stack_at(site);
      if (!stack) {
        keep(key, plain);
        continue;
      }
      auto& keys = stacks.try_emplace(stack->name, *stack, std::map<std::string, std::string>()).first->second.second;
      if (!keys.emplace(plain.substr(kPeftPrefix.size() + site.size()), key).second)
        refuse(*stack, fmt::format("is there twice, the second time as '{}'", key));
    }
    if (stacks.empty()) return file_;
    for (const auto& [name, entry] : stacks) divide(entry.first, entry.second);
    for (const auto& [pattern, names] : used_)
      for (const auto& name : names) config_[pattern].erase(name);
    return std::make_shared<const Checkpoint>(file_->path(), parts_);
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

  void keep(const std::string& key, const std::string& plain) {
    if (any_module_of(plain, [&](const auto& module) { return stack_at(module).has_value(); }))
      fail(ErrorKind::weights,
           fmt::format("{}: '{}' is of a layer that is several here; of these, LoRA alone can be taken apart",
                       file_->path().string(), key),
           "train the adapter here, or merge it into the weights in PEFT");
    give(key, file_->tensor(key));
  }

  void give(const std::string& key, const at::Tensor& value) {
    parts_.push_back({key, value.scalar_type(), value.sizes().vec(), [value] { return value; }});
  }

  [[noreturn]] void refuse(const Stack& stack, const std::string& what) const {
    std::vector<std::string> sites;
    for (const auto& part : parts_of(stack)) sites.push_back(part.site);
    fail(ErrorKind::weights,
         fmt::format("{}: the change of {} {}", file_->path().string(), without_end(stack.name, kWeightEnd), what),
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

  void divide(const Stack& stack, const std::map<std::string, std::string>& keys) {
    const auto parts = parts_of(stack);
    const auto tensor = [&](const std::string& end) {
      const auto found = keys.find(end);
      return found == keys.end() ? at::Tensor() : file_->tensor(found->second);
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
        give(key + kFactorA, a.narrow(0, shared ? 0 : column, part.rank));
        give(key + kFactorB, mine.contiguous());
        if (lengths.defined()) give(key + kLengths, lengths.narrow(0, row, part.rows));
      }
      row += part.rows, column += part.rank;
    }
  }

  std::shared_ptr<const Checkpoint> file_;
  json& config_;
  const NameMap& names_;
  const NameMap own_names_;
  std::unordered_map<std::string, int64_t> rows_;
  const json attached_;
  std::unordered_map<std::string, int64_t> ranks_;  // of the attached adapters, by site
  std::map<std::string, std::set<std::string>> used_;
  LazyTensors parts_;
};

}  // namespace

std::shared_ptr<const Checkpoint> unstacked_adapter(std::shared_ptr<const Checkpoint> file, json& config, Peft& peft,
                                                    const StackedPart& stacks) {
  if (!has_stacks(stacks.names)) return file;
  return AdapterUnstacking(std::move(file), config, peft, stacks).run();
}

}  // namespace antiphon::weights
