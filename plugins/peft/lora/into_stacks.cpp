#include "stacks.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/strings.h>
#include <antiphon/weights/stacked.h>

#include <algorithm>
#include <map>
#include <set>

#include "experts.h"
#include "file_keys.h"
#include "stack_numbers.h"

namespace antiphon::lora {
namespace {

using weights::Stack;
using Tensors = decltype(AdapterFile::tensors);

// The factors of one stack's parts; undefined if a part has none.
struct Change {
  Stack stack;
  std::vector<at::Tensor> a, b, lengths;

  explicit Change(const Stack& s) : stack(s), a(s.parts.size()), b(s.parts.size()), lengths(s.parts.size()) {}
  std::string site() const { return without_end(stack.name, kWeightEnd); }
  int64_t rank() const {
    int64_t sum = 0;
    for (const auto& factor : a) sum += factor.defined() ? factor.size(0) : 0;
    return sum;
  }
};

// The end of a path, of as many names as `like` has.
std::string end_of(const std::string& path, const std::string& like) {
  auto begin = path.size();
  for (auto names = std::ranges::count(like, '.') + 1; names > 0; --names) {
    begin = path.rfind('.', begin - 1);
    if (begin == std::string::npos) return path;
  }
  return path.substr(begin + 1);
}

class Stacking {
 public:
  Stacking(AdapterFile& file, const StackedPart& stacks)
      : file_(file), names_(stacks.names), rows_(weights::rows_of_parameters(stacks.part)) {}

  // Why not; empty: it is done.
  std::string run() {
    Tensors tensors;
    for (const auto& tensor : file_.tensors)
      if (!take(tensor)) tensors.push_back(tensor);
    if (auto why = why_not(); !why.empty()) return why;
    for (const auto& [site, change] : changes_) write(change, tensors);
    std::map<std::string, int64_t> ranks;
    for (const auto& [site, change] : changes_) ranks[site] = change.rank();
    put_stack_numbers(file_.config, ranks), put_targets();
    file_.tensors = std::move(tensors);
    return {};
  }

 private:
  std::optional<Stack> stack_of(const std::string& site) const {
    const auto parameter = names_.to_parameter(site + kWeightEnd);
    const auto stack = parameter ? weights::stack_with(names_, *parameter) : std::nullopt;
    return stack && !stack->is_of_experts() ? stack : std::nullopt;  // of these experts.h knows
  }

  // Whether it is a factor of a part of a stack.
  bool take(const std::pair<std::string, at::Tensor>& tensor) {
    const auto site = lora_site(tensor.first);
    const auto stack = site.empty() ? std::nullopt : stack_of(site);
    if (!stack) {
      others_ |= any_module_of(tensor.first, [&](const auto& module) { return stack_of(module).has_value(); });
      return false;
    }
    sites_[site] = without_end(stack->name, kWeightEnd);
    auto& change = changes_.try_emplace(sites_[site], *stack).first->second;
    const auto part = *names_.to_parameter(site + kWeightEnd);
    const auto i = static_cast<size_t>(std::ranges::find(stack->parts, part) - stack->parts.begin());
    const bool is_a = tensor.first.ends_with(kFactorA), is_b = tensor.first.ends_with(kFactorB);
    (is_a ? change.a : is_b ? change.b : change.lengths)[i] = tensor.second.detach().to(at::kCPU);
    return true;
  }

  std::string why_not() const {
    if (others_) return "only LoRA's factors can be said of the layer that it has";
    for (const char* key : {"rank_pattern", "alpha_pattern"})
      if (!file_.config.at(key).empty()) return fmt::format("{} gives layers numbers of their own", key);
    for (const auto& [site, change] : changes_) {
      const auto given = std::ranges::count_if(change.lengths, [](const auto& x) { return x.defined(); });
      if (given > 0 && given < std::ssize(change.lengths)) return site + " has DoRA's lengths for some rows only";
    }
    return {};
  }

  void write(const Change& change, Tensors& out) const {
    int64_t rows = 0, row = 0, column = 0;
    for (const auto& part : change.stack.parts) rows += rows_.at(part);
    std::vector<at::Tensor> a;
    at::Tensor b;
    for (size_t i = 0; i < change.a.size(); row += rows_.at(change.stack.parts[i++])) {
      const auto& own = change.b[i];
      if (!own.defined()) continue;
      if (!b.defined()) b = at::zeros({rows, change.rank()}, own.options());
      b.narrow(0, row, own.size(0)).narrow(1, column, own.size(1)).copy_(own);
      a.push_back(change.a[i]), column += own.size(1);
    }
    const auto key = kPeftPrefix + change.site();
    out.emplace_back(key + kFactorA, at::cat(a));
    out.emplace_back(key + kFactorB, b);
    if (change.lengths.front().defined()) out.emplace_back(key + kLengths, at::cat(change.lengths));
  }

  void put_targets() {
    std::set<std::string> targets;
    for (const auto& target : file_.config.at("target_modules")) {
      const auto name = target.get<std::string>();
      const auto site = std::ranges::find_if(sites_, [&](const auto& pair) { return ends_in(pair.first, name); });
      targets.insert(site == sites_.end() ? name : end_of(site->second, name));
    }
    file_.config["target_modules"] = targets;
  }

  AdapterFile& file_;
  const NameMap& names_;
  std::unordered_map<std::string, int64_t> rows_;
  std::map<std::string, Change> changes_;     // by the stack's site
  std::map<std::string, std::string> sites_;  // of parts -> of stacks
  bool others_ = false;
};

}  // namespace

std::string into_stacks(AdapterFile& file, const StackedPart& stacks) {
  auto why = Stacking(file, stacks).run();
  return why.empty() ? into_experts(file, stacks) : why;
}

}  // namespace antiphon::lora
