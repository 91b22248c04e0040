// Which linear sites a method of fine-tuning changes, said as in PEFT's configurations. Source: huggingface/peft,
// src/peft/tuners/tuners_utils.py, check_target_module_exists (0.21).
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <antiphon/component/module.h>
#include <antiphon/config/schema.h>

namespace antiphon::text {
class Pattern;
}

namespace antiphon::nn {

// A regular expression over whole names of sites.
class NamePattern {
 public:
  // Error(config) naming `where` ("lora: exclude") if it is malformed or not supported.
  NamePattern(const std::string& where, const std::string& regex);
  // One that matches whole names, or names from behind a dot on: PEFT's rank_pattern and alpha_pattern.
  static NamePattern of_ends(const std::string& where, const std::string& regex) {
    return {where, "(?:.*\\.)?(?:" + regex + ")"};
  }
  bool matches(const std::string& path) const;

 private:
  std::shared_ptr<const text::Pattern> pattern_;
};

struct SiteChoice {
  // A text: a regular expression over whole names, or "all-linear". A list: last parts of names, or globs over whole
  // names. Empty: nothing. Tables of tokens are chosen by a list that names them, or a text that has the last part of
  // their name and matches.
  config::Value targets, exclude;
  // Of the chosen sites those in these layers, if any are named. The number of a layer is the first one in a name, or
  // the one behind one of these names.
  std::vector<int64_t> layers;
  std::vector<std::string> layers_pattern;
  std::vector<std::string> whole;  // modules that are trained themselves: no site in them, see trained_whole()
};

// The same as options of a method.
struct SiteOptions {
  config::Value targets = config::Value::Array{"q_proj", "v_proj"};
  config::Value exclude_modules = config::Value::Array{};
  std::vector<int64_t> layers_to_transform = {};
  std::vector<std::string> layers_pattern = {};

  SiteChoice choice(std::vector<std::string> whole = {}) const {
    return {targets, exclude_modules, layers_to_transform, layers_pattern, std::move(whole)};
  }
};

template <class Options>
config::Table<Options> with_sites(config::Table<Options> table) {
  using S = SiteOptions;
  auto of = []<class M>(M S::*member) -> M Options::* { return member; };
  return std::move(table)
      .field("targets", of(&S::targets),
             "a list of last parts of site names, or globs over whole names; or a text: a regular expression over "
             "whole names, or \"all-linear\" for every site")
      .field("exclude_modules", of(&S::exclude_modules), "sites that are left out, said in the same way")
      .field("layers_to_transform", of(&S::layers_to_transform), "sites in these layers only; empty: in all",
             {.min = 0})
      .field("layers_pattern", of(&S::layers_pattern),
             "names behind which the number of a layer stands; empty: the first number in a name");
}

// Error(config) naming `plugin` if a target, an excluded name or a layer matches no site, or if nothing is left.
std::vector<Site> chosen_sites(const std::string& plugin, const SiteChoice& choice, const std::vector<Site>& sites);
// The same as PEFT's target_modules, which no other key narrows: last parts if these alone say it, else whole names.
std::vector<std::string> chosen_names(const SiteChoice& choice, const std::vector<Site>& chosen);

// Whether a module of that name, or of a name that ends so, has this parameter: PEFT's modules_to_save. Without a name
// it is the part itself.
bool trained_whole(const std::string& module, const std::string& parameter);

}  // namespace antiphon::nn
