#include "options.h"

#include <antiphon/base/error.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace antiphon::lora {

const config::Table<LoraOptions>& lora_table() {
  using O = LoraOptions;
  static const auto* table = new config::Table<O>(
      nn::with_sites(
          config::Table<O>("lora")
              .field("rank", &O::rank, "rank of the update", {.min = 1, .max = 4096})
              .field("alpha", &O::alpha, "the update is scaled by alpha / rank", {.min = 0, .above_min = true})
              .field("rank_pattern", &O::rank_pattern,
                     "a table of other ranks by regular expressions over names of sites, whole or from behind a dot: { "
                     "\"layers.0.*q_proj\" = 16 }")
              .field("alpha_pattern", &O::alpha_pattern, "the same of alpha")
              .field("rslora", &O::rslora, "scale by alpha / sqrt(rank) instead (Kalajdzievski 2023)")
              .field("dora", &O::dora, "train the lengths of the changed weight's rows, too (Liu et al. 2024)")
              .field("dropout", &O::dropout, "in training, where dropout_position says", {.min = 0, .max = 1})
              .field("dropout_position", &O::dropout_position,
                     "pre: on the adapter's input, as in PEFT; post: on what it gives (NeMo)",
                     {.choices = {"pre", "post"}})
              .field(
                  "init", &O::init,
                  "how it begins: kaiming (A random, B zero); gaussian: A normal, of deviation 1 / rank; xavier: A "
                  "normal, of variance 2 / (rank + inputs) (Glorot and Bengio 2010; NeMo); orthogonal: "
                  "neither is zero, their product is; pissa: what the weight's largest singular values make of it is "
                  "trained, the rest stays (Meng et al. 2024)",
                  {.choices = {"kaiming", "gaussian", "xavier", "orthogonal", "pissa"}})
              .field("pissa_niter", &O::pissa_niter,
                     "of init = \"pissa\": subspace iterations of a randomised SVD (Halko et al. 2009), as PEFT's "
                     "pissa_niter_N; 0: the SVD itself",
                     {.min = 0, .max = 1000})
              .field("bias", &O::bias,
                     "biases of the part that are trained, too: none, all, or lora_only: of the targets",
                     {.choices = {"none", "all", "lora_only"}}))
          .field("modules_to_save", &O::modules_to_save,
                 "modules of the part that are trained themselves, by the ends of their names: \"lm_head\", \"norm\"")
          .field("trainable_token_indices", &O::trainable_token_indices,
                 "ids of tokens whose rows of the embedding are trained, and of a head that is the embedding; or a "
                 "table of such lists: { embed_tokens = [5], lm_head = [5, 6] }"));
  return *table;
}

void LoraOptions::read_pretrained(const PretrainedConfig& pretrained) {
  read_options(pretrained.config,
               {{"r", "rank"},
                {"lora_alpha", "alpha"},
                {"use_rslora", "rslora"},
                {"use_dora", "dora"},
                {"rank_pattern", "rank_pattern"},
                {"alpha_pattern", "alpha_pattern"},
                {"target_modules", "targets"},
                {"modules_to_save", "modules_to_save"},
                {"trainable_token_indices", "trainable_token_indices"},
                {"bias", "bias"}},
               lora_table(), *this);
}

nlohmann::json token_indices(const LoraOptions& options) {
  if (!options.trains_tokens()) return {};
  return nlohmann::json::parse(config::to_json(options.trainable_token_indices));
}

SiteNumbers::SiteNumbers(std::string key, const config::Value& table, double least, bool whole)
    : key_(std::move(key)), whole_(whole) {
  const auto* all = table.get_if<config::Value::Table>();
  if (!all)
    fail(ErrorKind::config, fmt::format("lora: {}: expected a table, got {}", key_, table.type_name()),
         fmt::format("write {} = {{ \"q_proj\" = 16 }}", key_));
  for (const auto& [source, value] : *all) {
    const auto* integer = value.get_if<int64_t>();
    const auto* real = value.get_if<double>();
    const double number = integer ? static_cast<double>(*integer) : real && !whole ? *real : least - 1;
    if (!(number >= least && number > 0 && number < 1e9))
      fail(ErrorKind::config, fmt::format("lora: {}: '{}' has no number that fits", key_, source),
           whole ? "ranks are integers of 1 and more" : "alpha is a number above 0");
    entries_.push_back({source, nn::NamePattern::of_ends("lora: " + key_, source), number});
  }
}

double SiteNumbers::of(const std::string& path, double otherwise) const {
  const Entry* found = nullptr;
  for (const auto& entry : entries_) {
    if (!entry.pattern.matches(path)) continue;
    if (found && found->number != entry.number)
      fail(ErrorKind::config,
           fmt::format("lora: {}: '{}' and '{}' both match {} and say {} and {}", key_, found->source, entry.source,
                       path, found->number, entry.number),
           "write patterns of which one matches each site");
    found = &entry;
  }
  return found ? found->number : otherwise;
}

void SiteNumbers::check_used(const std::vector<Site>& sites) const {
  for (const auto& entry : entries_)
    if (std::ranges::none_of(sites, [&](const Site& site) { return entry.pattern.matches(site.path); }))
      fail(ErrorKind::config,
           fmt::format("lora: {}: '{}' matches none of the {} sites", key_, entry.source, sites.size()),
           sites.empty() ? "no layer is changed" : fmt::format("the first site is called {}", sites.front().path));
}

nlohmann::json SiteNumbers::times(double factor) const {
  auto all = nlohmann::json::object();
  for (const auto& entry : entries_) {
    if (whole_)
      all[entry.source] = std::llround(entry.number * factor);
    else
      all[entry.source] = entry.number * factor;
  }
  return all;
}

}  // namespace antiphon::lora
