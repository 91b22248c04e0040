#include <antiphon/model/attach_peft.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>
#include <antiphon/component/token_table.h>
#include <antiphon/model/adapter_settings.h>
#include <antiphon/model/slot.h>
#include <antiphon/nn/linear/linear.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

namespace antiphon::model {
namespace {

// What the folder of PEFT's has of the part; nothing: there is none, or not yet.
std::optional<PartOfAdapter> adapter_of(const Origin& origin, const AdapterPlace& place) {
  if (origin.weights.empty() || !path_exists(origin.weights, ErrorKind::weights)) return std::nullopt;
  return part_of(weights::adapter_files(origin.weights), place);
}

// Experts get the rows of tokens in an order of their own.
void check_tokens(const ComponentSpec& slot, const PeftTarget& target, int set) {
  if (slot.only == "all") return;
  const auto refuse = [&](const std::string& what) {
    fail(ErrorKind::config, fmt::format("'{}' has only = \"{}\", and {}", slot.plugin, slot.only, what),
         "leave `only` out");
  };
  if (target.hidden_size == 0) refuse("the part is not a language model, whose tokens are text or media");
  for (const auto& site : target.sites)
    for (const auto& adapter : site.linear->adapters)
      if (adapter->tokens != TokenChoice::all && site.linear->has_own_rows)
        refuse(fmt::format("{} is an expert's, which gets tokens in an order of its own", site.path));
  for (const auto& site : target.tables)
    if (std::ranges::any_of(site.table->adapters, [&](const auto& adapter) { return adapter->set == set; }))
      refuse(fmt::format("it changes {}, whose rows are tokens'", site.path));
}

// The number of sites; their new adapters are of this set.
size_t attach_set(Peft& peft, const PeftTarget& target, int set, TokenChoice tokens) {
  std::vector<size_t> before, before_tables;
  for (const auto& site : target.sites) before.push_back(site.linear->adapters.size());
  for (const auto& site : target.tables) before_tables.push_back(site.table->adapters.size());
  const auto count = peft.attach(target).size();
  for (size_t i = 0; i < target.sites.size(); ++i) {
    const auto& adapters = target.sites[i].linear->adapters;
    for (size_t j = before[i]; j < adapters.size(); ++j) adapters[j]->set = set, adapters[j]->tokens = tokens;
  }
  for (size_t i = 0; i < target.tables.size(); ++i) {
    const auto& adapters = target.tables[i].table->adapters;
    for (size_t j = before_tables[i]; j < adapters.size(); ++j) adapters[j]->set = set;
  }
  return count;
}

// A name is a folder's, and a word of a list on the command line.
void check_name(const ComponentSpec& slot, const std::vector<AttachedPeft>& all) {
  const auto& name = slot.name;
  const auto fits = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-'; };
  if (!std::ranges::all_of(name, fits) || name == "none" || name == "all")
    fail(ErrorKind::config, fmt::format("name = \"{}\" cannot name a method of fine-tuning", name),
         "use letters, digits, '_' and '-', and neither \"none\" nor \"all\"");
  if (!name.empty() && std::ranges::count(all, name, &AttachedPeft::name) > 0)
    fail(ErrorKind::config, fmt::format("two methods of fine-tuning have name = \"{}\"", name), "rename one of them");
}

void check_choice(const ComponentSpec& slot, const Peft& method) {
  if (slot.frozen && slot.weights.empty())
    fail(ErrorKind::config, fmt::format("'{}' has frozen = true and no weights to keep", slot.plugin),
         "name its folder in `weights`, or train it");
  if (!method.also_trained().empty() && (slot.frozen || !slot.name.empty()))
    fail(ErrorKind::config,
         fmt::format("'{}' trains parameters of the part itself, which can be neither switched off nor kept apart",
                     slot.plugin),
         "leave `name` and `frozen` out, or what it trains of the part");
}

}  // namespace

std::vector<Parameter> AttachedPeft::also_trained() const {
  std::vector<Parameter> found;
  const auto all = named_parameters(*part, names);
  for (const auto& name : method->also_trained()) {
    const auto parameter = std::ranges::find(all, name, &Parameter::name);
    if (parameter == all.end()) fail(ErrorKind::internal, fmt::format("{} has no parameter '{}'", owner, name));
    found.push_back(*parameter);
  }
  return found;
}

PeftPart::PeftPart(Module& m, NameMap n, Origin from, PeftTarget more)
    : module(m), names(std::move(n)), target(std::move(more)), origin(std::move(from)) {
  target.sites = named_sites(module, names);
  target.tables = named_tables(module, names);
  for (const auto& parameter : named_parameters(module, names))
    if (!parameter.fixed) target.parameters.push_back(parameter.name);
}

std::vector<Parameter> named_parameters(Module& module, const NameMap& names) {
  auto all = module.parameters();
  for (auto& parameter : all) parameter.name = names.to_checkpoint(parameter.name).value_or(parameter.name);
  return all;
}

std::vector<Site> named_tables(Module& module, const NameMap& names) {
  auto tables = module.tables();
  const std::string weight = ".weight";
  for (auto& table : tables)
    if (const auto name = names.to_checkpoint(table.path); name && name->ends_with(weight))
      table.path = name->substr(0, name->size() - weight.size());
  return tables;
}

std::vector<Site> named_sites(Module& module, const NameMap& names) {
  auto sites = module.sites();
  const std::string weight = ".weight";
  for (auto& site : sites)
    if (const auto name = names.to_checkpoint(site.path + weight))
      site.path = name->substr(0, name->size() - weight.size());
  return sites;
}

void attach_pefts(const PeftOwner& owner, const std::optional<PeftPart>& part, std::vector<ComponentSpec>& specs,
                  std::vector<AttachedPeft>& all, config::Problems& problems) {
  const bool reads = std::ranges::any_of(specs, [](const auto& slot) { return !slot.weights.empty(); });
  const auto place =
      part && reads ? adapter_place(part->origin.weights, part->origin.part, part->names) : AdapterPlace();
  for (size_t i = 0; i < specs.size(); ++i) {
    auto& slot = specs[i];
    const auto section = fmt::format("model.{}.peft.{}", owner.path, i);
    std::optional<PartOfAdapter> adapter;
    bool from_run = false;
    const auto settings = [&] {
      const auto origin = origin_of(slot.plugin, slot.weights, {}, section);
      from_run = !origin.runs.empty();
      if (part) adapter = adapter_of(origin, place);
      // A run's slot says itself how its method was made.
      return adapter && !from_run ? adapter_settings(adapter->files, part->target, part->names) : PretrainedConfig();
    };
    auto method = build_slot_from<Peft>(slot.plugin, settings, slot.options, section, problems);
    if (!method || !part) continue;
    in_slot(slot.options.where, section, problems, [&] {
      if (all.size() == AdapterScope::kMost)
        fail(ErrorKind::config, fmt::format("a model has at most {} methods of fine-tuning", AdapterScope::kMost));
      check_name(slot, all);
      const auto tokens = token_choice(slot.only);
      const int set = static_cast<int>(all.size());
      const size_t sites = attach_set(*method, part->target, set, tokens);
      check_choice(slot, *method), check_tokens(slot, part->target, set);
      if (tokens != TokenChoice::all && sites == 0)
        fail(ErrorKind::config, fmt::format("'{}' has only = \"{}\", and changes no layer", slot.plugin, slot.only),
             "leave `only` out");
      method->module().set_requires_grad(!slot.frozen);
      all.push_back({owner.kind, owner.path, i, std::move(method), sites, &part->module, part->names, slot.name});
      all.back().tokens = tokens, all.back().adapter = std::move(adapter), all.back().from_run = from_run;
      for (const auto& parameter : all.back().also_trained()) parameter.tensor->set_requires_grad(true);
      return true;
    });
  }
}

void check_all_taken(const std::vector<AttachedPeft>& all, config::Problems& problems) {
  std::map<std::string, std::set<std::string>> left, taken;
  for (const auto& peft : all) {
    if (!peft.adapter || peft.from_run) continue;
    const auto& [files, own, others] = *peft.adapter;
    left[files.folder.string()].insert(others.begin(), others.end());
    taken[files.folder.string()].insert(own.begin(), own.end());
  }
  for (auto& [folder, keys] : left) {
    std::erase_if(keys, [&](const auto& key) { return taken[folder].contains(key); });
    if (!keys.empty())
      problems.add({},
                   fmt::format("{} tensors of the adapter {} are of parts of the model that do not name it, the first "
                               "is '{}'",
                               keys.size(), folder, *keys.begin()),
                   fmt::format("`antiphon compose {}` writes all slots", folder), ErrorKind::weights);
  }
}

std::string described(const AttachedPeft& peft, const std::string& plugin) {
  if (const auto tokens = peft.method->prompt_tokens())
    return fmt::format("{} with {} virtual tokens before every sequence", plugin, tokens);
  if (const auto tokens = peft.method->prefix_tokens())
    return fmt::format("{} with {} keys and values before those of every sequence in each layer", plugin, tokens);
  const auto own = peft.method->also_trained().size();
  const auto also = own ? fmt::format("{} of the part's own tensors", own) : "";
  if (peft.sites == 0) return fmt::format("{} trains {}", plugin, also);
  const auto* of_tokens = peft.tokens == TokenChoice::media  ? ", for embeddings of media alone"
                          : peft.tokens == TokenChoice::text ? ", for text alone"
                                                             : "";
  return fmt::format("{} attached to {} sites{}{}", plugin, peft.sites, of_tokens, own ? ", trains " + also : "");
}

}  // namespace antiphon::model
