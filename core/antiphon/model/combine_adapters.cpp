#include <antiphon/model/combine_adapters.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/token_table.h>
#include <antiphon/nn/linear/linear.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace antiphon::model {
namespace {

// Of one method at one site: B and A are its own parameters.
struct WeighedChange {
  std::string name;
  double weight = 1;
  LowRank change;
};

std::map<int, WeightedAdapter> weights_by_set(const MultimodalLm& model, const std::vector<WeightedAdapter>& adapters) {
  std::map<int, WeightedAdapter> by_set;
  for (size_t i = 0; i < model.pefts().size(); ++i)
    for (const auto& adapter : adapters)
      if (adapter.name == model.pefts()[i].name) by_set[static_cast<int>(i)] = adapter;
  return by_set;
}

std::set<const void*> own_parameters(const MultimodalLm& model) {
  std::set<const void*> own;
  for (const auto& peft : model.pefts())
    for (const auto& parameter : peft.method->module().parameters())
      own.insert(parameter.tensor->unsafeGetTensorImpl());
  return own;
}

void check_tables(MultimodalLm& model, const std::map<int, WeightedAdapter>& by_set) {
  for (const auto& site : model.llm().module().tables())
    for (const auto& adapter : site.table->adapters)
      if (const auto weighed = by_set.find(adapter->set); weighed != by_set.end())
        fail(ErrorKind::config,
             fmt::format("'{}' changes the {}, so it has no weight", weighed->second.name,
                         site.table->is_head ? "head" : "embedding"),
             "leave out weights and --combine");
}

void add_linearly(const std::vector<WeighedChange>& changes, const std::string& site) {
  at::Tensor a, b;
  for (const auto& [name, weight, change] : changes) {
    const double factor = weight * change.scale, root = std::sqrt(std::abs(factor));
    const auto of_a = change.a * (factor >= 0 ? root : -root), of_b = change.b * root;
    if (a.defined() && of_a.size(0) != a.size(0))
      fail(ErrorKind::config,
           fmt::format("{}: '{}' has rank {} and '{}' rank {}; a linear combination is of equal ranks", site,
                       changes.front().name, a.size(0), name, of_a.size(0)),
           "use --combine cat");
    a = a.defined() ? a + of_a : of_a;
    b = b.defined() ? b + of_b : of_b;
  }
  const auto& first = changes.front().change;
  at::Tensor(first.a).copy_(a), at::Tensor(first.b).copy_(b / first.scale);
  for (size_t i = 1; i < changes.size(); ++i) at::Tensor(changes[i].change.b).zero_();
}

}  // namespace

Combination combination_of(const std::string& name) {
  return name == "linear" ? Combination::linear : Combination::cat;
}

void combine_adapters(MultimodalLm& model, const std::vector<WeightedAdapter>& adapters, Combination combination) {
  std::vector<std::string> names;
  std::set<TokenChoice> tokens;
  for (const auto& adapter : adapters) {
    if (std::ranges::count(names, adapter.name) > 0)
      fail(ErrorKind::config, fmt::format("the adapter '{}' is there twice", adapter.name), "give it one weight");
    names.push_back(adapter.name);
  }
  model.use_adapters(names);
  for (const auto& peft : model.pefts())
    if (std::ranges::count(names, peft.name) > 0) tokens.insert(peft.tokens);
  if (combination == Combination::linear && tokens.size() > 1)
    fail(ErrorKind::config, "adapters that change other tokens have no linear combination", "use --combine cat");
  c10::AutoGradMode no_grad(false);
  const auto by_set = weights_by_set(model, adapters);
  const auto own = own_parameters(model);
  std::set<int> found;
  check_tables(model, by_set);
  for (const auto& part : model.parts())
    for (const auto& site : part.module->sites()) {
      std::vector<WeighedChange> changes;
      for (const auto& adapter : site.linear->adapters) {
        const auto weighed = by_set.find(adapter->set);
        if (weighed == by_set.end()) continue;
        const auto change = adapter->low_rank();
        if (!change.a.defined() || !own.contains(change.a.unsafeGetTensorImpl()))
          fail(ErrorKind::config,
               fmt::format("{}: '{}' is not LoRA alone, so it has no weight", site.path, weighed->second.name),
               "leave out weights and --combine, or methods with dora or init = \"pissa\"");
        changes.push_back({weighed->second.name, weighed->second.weight, change});
        found.insert(adapter->set);
      }
      if (changes.empty()) continue;
      if (combination == Combination::linear)
        add_linearly(changes, site.path);
      else
        for (const auto& [name, weight, change] : changes) at::Tensor(change.b).mul_(weight);
    }
  for (const auto& [set, adapter] : by_set)
    if (!found.contains(set))
      fail(ErrorKind::config, fmt::format("'{}' changes no linear layer, so it has no weight", adapter.name),
           "leave out weights and --combine");
}

}  // namespace antiphon::model
