// Which linear sites a method of fine-tuning changes, said as in PEFT's configurations. Source: huggingface/peft,
// src/peft/tuners/tuners_utils.py, check_target_module_exists (0.21).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <antiphon/component/module.h>
#include <antiphon/config/value.h>

namespace antiphon::text {
class Pattern;
}

namespace antiphon::nn {

// A regular expression over whole names of sites.
class NamePattern {
 public:
  // Error(config) naming `where` ("lora: exclude") if it is malformed or not supported.
  NamePattern(const std::string& where, const std::string& regex);
  bool matches(const std::string& path) const;

 private:
  std::shared_ptr<const text::Pattern> pattern_;
};

struct SiteChoice {
  // A text: a regular expression over whole names, or "all-linear". A list: last parts of names, or globs over whole
  // names. Empty: nothing.
  config::Value targets, exclude;
  // Of the chosen sites those in these layers, if any are named. The number of a layer is the first one in a name, or
  // the one behind one of these names.
  std::vector<int64_t> layers;
  std::vector<std::string> layers_pattern;
  std::vector<std::string> whole;  // modules that are trained themselves: no site in them, see trained_whole()
};

// Error(config) naming `plugin` if a target, an excluded name or a layer matches no site, or if nothing is left.
std::vector<Site> chosen_sites(const std::string& plugin, const SiteChoice& choice, const std::vector<Site>& sites);
// The same as PEFT's target_modules, which no other key narrows: last parts if these alone say it, else whole names.
std::vector<std::string> chosen_names(const SiteChoice& choice, const std::vector<Site>& chosen);

// Whether a module of that name, or of a name that ends so, has this parameter: PEFT's modules_to_save.
bool trained_whole(const std::string& module, const std::string& parameter);

}  // namespace antiphon::nn
