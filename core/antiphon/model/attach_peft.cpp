#include <antiphon/model/attach_peft.h>

#include <fmt/format.h>

#include <antiphon/model/slot.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::model {
namespace {

// The number of sites; their new adapters are of this set.
size_t attach_set(Peft& peft, const PeftTarget& target, int set) {
  std::vector<size_t> before;
  for (const auto& site : target.sites) before.push_back(site.linear->adapters.size());
  const auto count = peft.attach(target).size();
  for (size_t i = 0; i < target.sites.size(); ++i) {
    const auto& adapters = target.sites[i].linear->adapters;
    for (size_t j = before[i]; j < adapters.size(); ++j) adapters[j]->set = set;
  }
  return count;
}

}  // namespace

std::vector<Site> named_sites(Module& module, const NameMap& names) {
  auto sites = module.sites();
  const std::string weight = ".weight";
  for (auto& site : sites)
    if (const auto name = names.to_checkpoint(site.path + weight))
      site.path = name->substr(0, name->size() - weight.size());
  return sites;
}

void attach_pefts(const std::string& owner, const std::optional<PeftTarget>& target, std::vector<ComponentSpec>& specs,
                  std::vector<AttachedPeft>& all, config::Problems& problems) {
  for (size_t i = 0; i < specs.size(); ++i) {
    auto& slot = specs[i];
    const auto section = fmt::format("model.{}.peft.{}", owner, i);
    auto method = build_slot<Peft>(slot.plugin, {}, slot.options, section, problems);
    if (!method || !target) continue;
    in_slot(slot.options.where, section, problems, [&] {
      if (all.size() == AdapterScope::kMost)
        fail(ErrorKind::config, fmt::format("a model has at most {} methods of fine-tuning", AdapterScope::kMost));
      const size_t sites = attach_set(*method, *target, static_cast<int>(all.size()));
      method->module().set_requires_grad(true);
      all.push_back({owner, i, std::move(method), sites});
      return true;
    });
  }
}

std::string described(const AttachedPeft& peft, const std::string& plugin) {
  if (const auto tokens = peft.method->prompt_tokens())
    return fmt::format("{} with {} virtual tokens before every sequence", plugin, tokens);
  return fmt::format("{} attached to {} sites", plugin, peft.sites);
}

}  // namespace antiphon::model
