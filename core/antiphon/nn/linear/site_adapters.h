// Shared by methods that put adapters on linear sites: choosing the sites as PEFT does, attaching, merging.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <antiphon/component/peft.h>

namespace antiphon::nn {

// PEFT's rule: the whole name or its end after a dot; a glob is matched against the whole name; "all-linear": every
// site.
bool matches_target(const std::string& target, const std::string& path);
// The sites that some target matches, tables of tokens by name alone. Error(config) naming `plugin` if a target matches
// none.
std::vector<Site> matching_sites(const std::string& plugin, const std::vector<std::string>& targets,
                                 const std::vector<Site>& sites);
// The targets as PEFT's files name them, by suffix or whole name: globs are expanded to the sites that they matched.
std::vector<std::string> target_names(const std::vector<std::string>& targets, const std::vector<Site>& sites);

// One adapter per site, the last one in its chain.
class SiteAdapters {
 public:
  // `make` gives the adapter of a site, whose parameters it has declared. The paths of the sites, as Peft::attach().
  using Make = std::function<std::shared_ptr<LinearAdapter>(const Site&)>;
  std::vector<std::string> attach(const std::string& plugin, const std::vector<std::string>& targets,
                                  const std::vector<Site>& sites, const Make& make);
  // The same on sites that are chosen (nn/linear/site_choice.h).
  std::vector<std::string> attach(const std::vector<Site>& chosen, const Make& make);
  const std::vector<Site>& sites() const { return sites_; }
  // See Peft::merge().
  void merge();

 private:
  std::vector<Site> sites_;
  std::vector<std::shared_ptr<LinearAdapter>> adapters_;
};

}  // namespace antiphon::nn
