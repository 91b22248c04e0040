// PEFT has no such method: the files have the form of PEFT's, and only Antiphon reads them.
#include <antiphon/base/error.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/site_adapters.h>
#include <antiphon/nn/linear/site_choice.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <optional>
#include <span>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "adapter.h"

namespace antiphon::parallel_adapters {

using Names = std::vector<std::string>;

struct ParallelAdaptersOptions {
  std::string sublayers = "mlp", activation = "relu";
  int64_t bottleneck = 64;
  double scale = 4;
  Names inputs = {}, outputs = {};
  config::Value exclude_modules = config::Value::Array{};
  std::vector<int64_t> layers_to_transform = {};
};

const config::Table<ParallelAdaptersOptions>& parallel_adapters_table() {
  using O = ParallelAdaptersOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("parallel_adapters")
          .field("sublayers", &O::sublayers, "what they stand beside", {.choices = {"mlp", "attention", "both"}})
          .field("bottleneck", &O::bottleneck, "width between the two layers of an adapter", {.min = 1, .max = 1 << 16})
          .field("scale", &O::scale, "of what an adapter adds", {.min = 0, .above_min = true})
          .field("activation", &O::activation, "between the two layers", {.choices = {"relu", "swish", "gelu"}})
          .field(
              "inputs", &O::inputs,
              "last parts of names of the layers that get a sublayer's input, or globs over whole names, in place of "
              "those that `sublayers` knows")
          .field("outputs", &O::outputs,
                 "the same of the layers that give its output; each belongs to the input before")
          .field("exclude_modules", &O::exclude_modules,
                 "layers that are left out, said in the same way, or by a regular expression over whole names")
          .field("layers_to_transform", &O::layers_to_transform, "sublayers in these layers only; empty: in all",
                 {.min = 0}));
  return *table;
}

// First and last layers, as Hugging Face's models call them.
struct Ends {
  const char *first, *last;
};
constexpr Ends kMlp[] = {{"up_proj", "down_proj"},
                         {"fc1", "fc2"},
                         {"linear_fc1", "linear_fc2"},
                         {"w3", "w2"},
                         {"feed_forward1.linear1", "feed_forward1.linear2"},
                         {"feed_forward2.linear1", "feed_forward2.linear2"}};
constexpr Ends kAttention[] = {{"q_proj", "o_proj"},
                               {"q_proj", "out_proj"},
                               {"q_proj", "projection_layer"},
                               {"attn.qkv", "attn.proj"},
                               {"attention.attention.query", "attention.output.dense"}};

// Whether the part has a sublayer with these ends: both in one module.
bool has_both(const Ends& ends, const std::vector<Site>& sites) {
  const std::string first = std::string(".") + ends.first;
  return std::ranges::any_of(sites, [&](const Site& begin) {
    if (!begin.path.ends_with(first)) return false;
    const auto last = begin.path.substr(0, begin.path.size() - first.size() + 1) + ends.last;
    return std::ranges::count(sites, last, &Site::path) > 0;
  });
}

bool any_matches(const Names& targets, const Site& site) {
  return std::ranges::any_of(targets, [&](const auto& target) { return nn::matches_target(target, site.path); });
}

class ParallelAdapters : public Peft, private Module {
 public:
  explicit ParallelAdapters(const ParallelAdaptersOptions& options) : options_(options) {
    if (options.inputs.empty() != options.outputs.empty())
      fail(ErrorKind::config, "parallel_adapters: one of `inputs` and `outputs` without the other",
           "name both ends of the sublayers, or none");
  }

  std::vector<std::string> attach(const PeftTarget& target) override {
    const nn::SiteChoice some{
        config::Value::Array{"all-linear"}, options_.exclude_modules, options_.layers_to_transform, {}, {}};
    const auto sites = nn::chosen_sites("parallel_adapters", some, target.sites);
    choose_ends(sites);
    auto both = options_.inputs;
    both.insert(both.end(), options_.outputs.begin(), options_.outputs.end());
    auto paths =
        adapters_.attach("parallel_adapters", both, sites, [this](const Site& site) { return made_for(site); });
    if (passage_)
      fail(ErrorKind::config, fmt::format("parallel_adapters: {} begins a sublayer that does not end", before_->path),
           "name the last layer in `outputs`, after its first one");
    return paths;
  }

  Module& module() override { return *this; }

  nlohmann::json adapter_config() const override {
    return {{"peft_type", "PARALLEL_ADAPTERS"}, {"bottleneck", options_.bottleneck},
            {"scale", options_.scale},          {"activation", options_.activation},
            {"inference_mode", true},           {"target_modules", nn::target_names(options_.outputs, ends_)}};
  }

  ForeignKeys config_keys() const override {
    return {.other = {"peft_type", "bottleneck", "scale", "activation", "inference_mode", "target_modules",
                      "base_model_name_or_path"},
            .unknown_refused = true};
  }
  Names compared_keys() const override { return {"bottleneck", "scale", "activation"}; }
  std::string why_not_merged() const override { return "its changes are functions that are not linear"; }
  void merge() override { adapters_.merge(); }

 private:
  // Those of the known names that the part has.
  void choose_ends(const std::vector<Site>& sites) {
    if (!options_.inputs.empty()) return;
    const auto add_all = [&](std::span<const Ends> known) {
      for (const auto& ends : known) {
        if (!has_both(ends, sites)) continue;
        options_.inputs.emplace_back(ends.first), options_.outputs.emplace_back(ends.last);
      }
    };
    if (options_.sublayers != "attention") add_all(kMlp);
    if (options_.sublayers != "mlp") add_all(kAttention);
    if (options_.inputs.empty())
      fail(ErrorKind::config,
           fmt::format("parallel_adapters: no layers of this part are called as the ends of {} are",
                       options_.sublayers == "both" ? "an MLP or attention" : options_.sublayers),
           "name them in `inputs` and `outputs`");
  }

  // Sites come in the order in which a block computes them.
  std::shared_ptr<LinearAdapter> made_for(const Site& site) {
    if (any_matches(options_.inputs, site)) {
      if (passage_)
        fail(
            ErrorKind::config,
            fmt::format("parallel_adapters: {} and {} both begin a sublayer that ends later", before_->path, site.path),
            "name one layer of each sublayer in `inputs`");
      passage_ = std::make_shared<Passage>(), before_ = site;
      return std::make_shared<SublayerStart>(passage_);
    }
    if (!passage_)
      fail(ErrorKind::config, fmt::format("parallel_adapters: {} ends a sublayer that has not begun", site.path),
           "name a layer before it in `inputs`");
    auto adapter =
        std::make_shared<ParallelAdapter>(ParallelShape{before_->linear->in(), site.linear->out(), options_.bottleneck,
                                                        site.linear->in(), options_.scale, options_.activation},
                                          std::move(passage_));
    passage_ = nullptr;
    add(site.path, *adapter);
    ends_.push_back(site);
    return adapter;
  }

  ParallelAdaptersOptions options_;
  nn::SiteAdapters adapters_;
  std::vector<Site> ends_;
  std::shared_ptr<Passage> passage_;  // of a sublayer that has begun
  std::optional<Site> before_;        // where
};

}  // namespace antiphon::parallel_adapters

ANTIPHON_PLUGIN(parallel_adapters, "0.1.0") {
  using namespace antiphon::parallel_adapters;
  antiphon::register_component<antiphon::Peft, ParallelAdapters>(
      registrar, "parallel_adapters", "bottleneck adapters beside attention or MLP", parallel_adapters_table());
}
