#include <antiphon/nn/linear/site_adapters.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/nn/linear/linear.h>

#include <set>

namespace antiphon::nn {
namespace {

[[noreturn]] void fail_unmatched(const std::string& plugin, const std::set<std::string>& unmatched,
                                 const std::vector<Site>& sites) {
  std::set<std::string> ends;
  for (const auto& site : sites) ends.insert(site.path.substr(site.path.rfind('.') + 1));
  const std::vector<std::string> known(ends.begin(), ends.end()), missing(unmatched.begin(), unmatched.end());
  const auto guess = nearest(missing.front(), known);
  fail(ErrorKind::config,
       fmt::format("{}: no site matches the target{} {}; {} sites end in: {}", plugin, missing.size() > 1 ? "s" : "",
                   join(missing, ", "), sites.size(), join(known, ", ")),
       guess.empty() ? "name some of these in `targets`" : "did you mean '" + guess + "'?");
}

// Tables of tokens are meant by name alone.
bool matches_site(const std::string& target, const Site& site) {
  return site.table ? ends_in(site.path, target) : matches_target(target, site.path);
}

}  // namespace

bool matches_target(const std::string& target, const std::string& path) {
  return target == "all-linear" || ends_in(path, target) || glob_match(target, path);
}

std::vector<Site> matching_sites(const std::string& plugin, const std::vector<std::string>& targets,
                                 const std::vector<Site>& sites) {
  std::set<std::string> unmatched(targets.begin(), targets.end());
  std::vector<Site> hits;
  for (const auto& site : sites) {
    bool hit = false;
    for (const auto& target : targets)
      if (matches_site(target, site)) unmatched.erase(target), hit = true;
    if (hit) hits.push_back(site);
  }
  if (!unmatched.empty()) fail_unmatched(plugin, unmatched, sites);
  return hits;
}

std::vector<std::string> target_names(const std::vector<std::string>& targets, const std::vector<Site>& sites) {
  std::set<std::string> names;
  for (const auto& site : sites) {
    bool plain = false;
    for (const auto& target : targets)
      if (ends_in(site.path, target)) names.insert(target), plain = true;
    if (!plain) names.insert(site.path);
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> SiteAdapters::attach(const std::string& plugin, const std::vector<std::string>& targets,
                                              const std::vector<Site>& sites, const Make& make) {
  return attach(matching_sites(plugin, targets, sites), make);
}

std::vector<std::string> SiteAdapters::attach(const std::vector<Site>& chosen, const Make& make) {
  std::vector<std::string> paths;
  for (const auto& site : chosen) {
    adapters_.push_back(make(site));
    site.linear->adapters.push_back(adapters_.back());
    sites_.push_back(site);
    paths.push_back(site.path);
  }
  return paths;
}

void SiteAdapters::merge() {
  c10::AutoGradMode no_grad(false);
  for (size_t i = 0; i < sites_.size(); ++i) {
    auto& linear = *sites_[i].linear;
    if (linear.adapters.empty() || linear.adapters.front() != adapters_[i])
      fail(ErrorKind::config, fmt::format("{}: another method's adapter lies below this one", sites_[i].path),
           "merge the methods in the order of [[peft]]");
    const bool of_all = adapters_[i]->tokens == TokenChoice::all;
    const auto merged = of_all ? adapters_[i]->merged({linear.weight, linear.bias}) : std::nullopt;
    if (!merged)
      fail(ErrorKind::config,
           fmt::format("{}: this method's adapters cannot become part of the weights", sites_[i].path),
           "use the adapter's folder beside the model");
    linear.weight = merged->weight.to(linear.weight.scalar_type());
    if (linear.bias.defined()) linear.bias = merged->bias.to(linear.bias.scalar_type());
    linear.adapters.erase(linear.adapters.begin());
  }
  sites_.clear();  // the adapters live on: they are children of the method's module
}

}  // namespace antiphon::nn
