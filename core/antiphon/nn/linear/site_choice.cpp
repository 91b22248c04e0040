#include <antiphon/nn/linear/site_choice.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/nn/linear/site_adapters.h>
#include <antiphon/text/tokenizer/pattern.h>

#include <algorithm>
#include <optional>
#include <set>

namespace antiphon::nn {
namespace {

using Names = std::vector<std::string>;

Names listed(const std::string& where, const config::Value& value) {
  Names names;
  if (const auto* list = value.get_if<config::Value::Array>()) {
    for (const auto& item : *list)
      if (const auto* text = item.get_if<std::string>()) names.push_back(*text);
    if (names.size() == list->size()) return names;
  }
  fail(ErrorKind::config,
       fmt::format("{}: expected a list of names, or a text that is a regular expression, got {}", where,
                   value.type_name()),
       fmt::format("write {} = [\"q_proj\", \"v_proj\"]", where.substr(where.rfind(' ') + 1)));
}

// An expression that is about layers may match a table, too; chosen is one whose name is in its text.
bool names(const std::string& regex, const Site& site) {
  return !site.table || regex.find(site.path.substr(site.path.rfind('.') + 1)) != std::string::npos;
}

// The sites of a text or a list. `all_tables`: and all tables that a text matches.
std::vector<Site> matching(const std::string& plugin, const char* key, const config::Value& value,
                           const std::vector<Site>& sites, bool all_tables) {
  const auto where = fmt::format("{}: {}", plugin, key);
  const auto* regex = value.get_if<std::string>();
  if (!regex) return matching_sites(plugin, listed(where, value), sites);
  auto hits = sites;
  if (*regex == "all-linear") {
    std::erase_if(hits, [](const Site& site) { return site.table != nullptr; });
    return hits;
  }
  const NamePattern pattern(where, *regex);
  std::erase_if(hits,
                [&](const Site& site) { return !pattern.matches(site.path) || !(all_tables || names(*regex, site)); });
  if (hits.empty())
    fail(ErrorKind::config,
         fmt::format("{}: no whole name of the {} sites matches the regular expression {}; the first is called {}",
                     where, sites.size(), *regex, sites.empty() ? "nothing" : sites.front().path),
         "a list of names is matched by their last parts, a text from beginning to end");
  return hits;
}

// The number behind one of the names, or the first number in the path.
std::optional<int64_t> layer_of(const std::string& path, const Names& behind) {
  const auto parts = split(path, '.');
  for (size_t i = 1; i + 1 < parts.size(); ++i) {
    const bool number = !parts[i].empty() && std::ranges::all_of(parts[i], [](char c) { return c >= '0' && c <= '9'; });
    if (number && parts[i].size() < 10 && (behind.empty() || std::ranges::count(behind, parts[i - 1])))
      return std::stoll(parts[i]);
  }
  return std::nullopt;
}

void keep_layers(const std::string& plugin, const SiteChoice& choice, std::vector<Site>& sites) {
  if (choice.layers.empty()) {
    if (choice.layers_pattern.empty()) return;
    fail(ErrorKind::config, plugin + ": layers_pattern without layers_to_transform", "name the layers, too");
  }
  if (choice.targets.get_if<std::string>())
    fail(ErrorKind::config, plugin + ": layers_to_transform beside a regular expression",
         "say the layers in the expression, or list the targets");
  if (const auto table = std::ranges::find_if(sites, &Site::table); table != sites.end())
    fail(ErrorKind::config, fmt::format("{}: layers_to_transform beside {}, which is in no layer", plugin, table->path),
         "name the table in a [[peft]] of its own, or the layers in globs: \"model.layers.0.*q_proj\"");
  std::set<int64_t> unmatched(choice.layers.begin(), choice.layers.end());
  std::erase_if(sites, [&](const Site& site) {
    const auto layer = layer_of(site.path, choice.layers_pattern);
    if (layer) unmatched.erase(*layer);
    return !layer || !std::ranges::count(choice.layers, *layer);
  });
  if (!unmatched.empty())
    fail(ErrorKind::config,
         fmt::format("{}: layers_to_transform: no chosen site is in layer {}", plugin, fmt::join(unmatched, ", ")),
         choice.layers_pattern.empty() ? "layers count from 0" : "layers_pattern names what stands before the number");
}

void leave_out(std::vector<Site>& sites, const std::vector<Site>& others) {
  std::erase_if(sites, [&](const Site& site) { return std::ranges::count(others, site.path, &Site::path) > 0; });
}

bool is_empty(const config::Value& value) {
  const auto* list = value.get_if<config::Value::Array>();
  const auto* text = value.get_if<std::string>();
  return value.empty() || (list && list->empty()) || (text && text->empty());
}

}  // namespace

NamePattern::NamePattern(const std::string& where, const std::string& regex) {
  try {
    pattern_ = std::make_shared<const text::Pattern>(text::Pattern::regex("^(?:" + regex + ")$"));
  } catch (const Error& error) {
    fail(ErrorKind::config, fmt::format("{}: {}", where, error.message()), "correct the regular expression");
  }
}

bool NamePattern::matches(const std::string& path) const {
  bool whole = false;
  pattern_->for_each_match(path, [&](size_t begin, size_t end) { whole |= begin == 0 && end == path.size(); });
  return whole;
}

std::vector<Site> chosen_sites(const std::string& plugin, const SiteChoice& choice, const std::vector<Site>& sites) {
  auto chosen = matching(plugin, "targets", choice.targets, sites, /*all_tables=*/false);
  if (!is_empty(choice.exclude))
    leave_out(chosen, matching(plugin, "exclude_modules", choice.exclude, sites, /*all_tables=*/true));
  std::erase_if(chosen, [&](const Site& site) {
    return std::ranges::any_of(choice.whole,
                               [&](const auto& module) { return trained_whole(module, site.path + "."); });
  });
  keep_layers(plugin, choice, chosen);
  if (chosen.empty())
    fail(ErrorKind::config, plugin + ": no site is left of those that the targets match",
         "look at exclude_modules, modules_to_save and layers_to_transform");
  return chosen;
}

std::vector<std::string> chosen_names(const SiteChoice& choice, const std::vector<Site>& chosen) {
  const bool narrowed = !is_empty(choice.exclude) || !choice.layers.empty() || !choice.whole.empty();
  if (choice.targets.get_if<config::Value::Array>() && !narrowed)
    return target_names(listed("targets", choice.targets), chosen);
  Names names;
  for (const auto& site : chosen) names.push_back(site.path);
  return names;
}

bool trained_whole(const std::string& module, const std::string& parameter) {
  if (module.empty()) return true;
  for (size_t dot = parameter.find('.'); dot != std::string::npos; dot = parameter.find('.', dot + 1))
    if (parameter.substr(0, dot).ends_with(module)) return true;
  return false;
}

}  // namespace antiphon::nn
