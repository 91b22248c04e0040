// Bottleneck adapters: after the attention's output projection and after the MLP (Houlsby et al. 2019), or after the
// MLP alone (Pfeiffer et al. 2020), each before it is added to the residual stream. PEFT has no such method: the files
// have the form of PEFT's, and only Antiphon reads them.
#include <antiphon/base/error.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/site_adapters.h>
#include <antiphon/nn/linear/site_choice.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "adapter.h"

namespace antiphon::adapters {

using Names = std::vector<std::string>;

struct AdaptersOptions : nn::SiteOptions {
  AdaptersOptions() { targets = config::Value::Array{}; }  // those that `style` knows
  std::string style = "houlsby", activation = "swish", norm = "pre";
  int64_t bottleneck = 32;
};

const config::Table<AdaptersOptions>& adapters_table() {
  using O = AdaptersOptions;
  static const auto* table = new config::Table<O>(nn::with_sites(
      config::Table<O>("adapters")
          .field("style", &O::style, "houlsby: after attention and after the MLP; pfeiffer: after the MLP",
                 {.choices = {"houlsby", "pfeiffer"}})
          .field("bottleneck", &O::bottleneck, "width between the two layers of an adapter", {.min = 1, .max = 1 << 16})
          .field("activation", &O::activation, "between them", {.choices = {"swish", "relu", "gelu"}})
          .field("norm", &O::norm, "a layer norm before the first layer, after the second, or none",
                 {.choices = {"pre", "post", "none"}})));
  return *table;
}

// The last layers of attention and of MLPs, as Hugging Face's models call them.
const Names kAttention{"o_proj", "out_proj", "attention.output.dense", "projection_layer", "attn.proj"};
const Names kMlp{"down_proj", "fc2", "linear_fc2", "feed_forward2.linear2"};

// Within some module: a part's own first or last layer may be called the same.
Names found_among(const Names& known, const std::vector<Site>& sites, const char* what) {
  Names found;
  for (const auto& name : known)
    if (std::ranges::any_of(sites, [&](const auto& site) { return site.path.ends_with("." + name); }))
      found.push_back(name);
  if (found.empty())
    fail(ErrorKind::config, fmt::format("adapters: no site of this part is called as the last layer of {} is", what),
         "name the sites in `targets`");
  return found;
}

class Adapters : public Peft, private Module {
 public:
  explicit Adapters(const AdaptersOptions& options) : options_(options) {}

  std::vector<std::string> attach(const PeftTarget& target) override {
    const auto chosen = nn::chosen_sites("adapters", choice_of(target.sites), target.sites);
    return adapters_.attach(chosen, [this](const Site& site) {
      const auto position = options_.norm == "pre"    ? NormPosition::pre
                            : options_.norm == "post" ? NormPosition::post
                                                      : NormPosition::none;
      auto adapter =
          std::make_shared<BottleneckAdapter>(site.linear->out(), options_.bottleneck, options_.activation, position);
      add(site.path, *adapter);
      return adapter;
    });
  }

  Module& module() override { return *this; }

  nlohmann::json adapter_config() const override {
    return {{"peft_type", "BOTTLENECK"},
            {"bottleneck", options_.bottleneck},
            {"activation", options_.activation},
            {"norm", options_.norm},
            {"inference_mode", true},
            {"target_modules", nn::chosen_names(options_.choice(), adapters_.sites())}};
  }

  ForeignKeys config_keys() const override {
    return {.other = {"peft_type", "bottleneck", "activation", "norm", "inference_mode", "target_modules",
                      "base_model_name_or_path"},
            .unknown_refused = true};
  }
  std::vector<std::string> compared_keys() const override { return {"bottleneck", "activation", "norm"}; }
  std::string why_not_merged() const override { return "its changes are functions that are not linear"; }
  void merge() override { adapters_.merge(); }

 private:
  nn::SiteChoice choice_of(const std::vector<Site>& sites) const {
    auto choice = options_.choice();
    const auto* list = choice.targets.get_if<config::Value::Array>();
    if (!list || !list->empty()) return choice;
    const auto known = targets_of(sites);
    choice.targets = config::Value::Array(known.begin(), known.end());
    return choice;
  }

  Names targets_of(const std::vector<Site>& sites) const {
    auto targets = found_among(kMlp, sites, "an MLP");
    if (options_.style == "pfeiffer") return targets;
    for (const auto& name : found_among(kAttention, sites, "attention")) targets.push_back(name);
    return targets;
  }

  AdaptersOptions options_;
  nn::SiteAdapters adapters_;
};

}  // namespace antiphon::adapters

ANTIPHON_PLUGIN(adapters, "0.1.0") {
  using namespace antiphon::adapters;
  antiphon::register_component<antiphon::Peft, Adapters>(
      registrar, "adapters", "bottleneck adapters after attention and MLP", adapters_table());
}
