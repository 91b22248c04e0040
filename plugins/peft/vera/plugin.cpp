// Reads and writes PEFT's format: peft_type VERA, keys <site>.vera_lambda_d and vera_lambda_b, and vera_A and vera_B
// once.
#include "adapter.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <antiphon/component/adapter_file.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/site_adapters.h>
#include <antiphon/nn/linear/site_choice.h>
#include <antiphon/plugin/manifest.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

namespace antiphon::vera {

struct VeraOptions : nn::SiteOptions {
  int64_t rank = 256, projection_seed = 0;
  double d_initial = 0.1, dropout = 0;
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<VeraOptions>& vera_table() {
  using O = VeraOptions;
  static const auto* table = new config::Table<O>(nn::with_sites(
      config::Table<O>("vera")
          .field("rank", &O::rank, "rows of A and columns of B", {.min = 1, .max = 1 << 16})
          .field("projection_seed", &O::projection_seed, "of A and B, which are the same numbers as PEFT's", {.min = 0})
          .field("d_initial", &O::d_initial, "what d begins with; b begins with zeros")
          .field("dropout", &O::dropout, "on the adapter's input, in training", {.min = 0, .max = 1})));
  return *table;
}

void VeraOptions::read_pretrained(const PretrainedConfig& pretrained) {
  read_options(pretrained.config,
               {{"r", "rank"},
                {"projection_prng_key", "projection_seed"},
                {"d_initial", "d_initial"},
                {"target_modules", "targets"}},
               vera_table(), *this);
}

class Vera : public Peft, private Module {
 public:
  explicit Vera(const VeraOptions& options) : options_(options) {}

  std::vector<std::string> attach(const PeftTarget& target) override {
    if (target.hidden_size > 0) task_type_ = "CAUSAL_LM";
    const auto chosen = nn::chosen_sites("vera", options_.choice(), target.sites);
    int64_t in = 0, out = 0;
    for (const auto& site : chosen) in = std::max(in, site.linear->in()), out = std::max(out, site.linear->out());
    add_constant("vera_A", shared_->a, {options_.rank, in});
    add_constant("vera_B", shared_->b, {out, options_.rank});
    return sites_.attach(chosen, [this](const Site& site) { return made_for(site); });
  }

  // A first, then B, of one generator: PEFT's numbers.
  void start(uint64_t) override {
    c10::AutoGradMode no_grad(false);
    auto generator = at::detail::createCPUGenerator(static_cast<uint64_t>(options_.projection_seed));
    for (auto* matrix : {&shared_->a, &shared_->b}) {
      const double bound = std::sqrt(6.0 / static_cast<double>(matrix->size(1)));
      matrix->copy_(at::empty(matrix->sizes(), at::kFloat).uniform_(-bound, bound, generator));
    }
    for (const auto& adapter : adapters_) adapter->start(options_.d_initial);
  }

  Module& module() override { return *this; }

  bool is_shared(const std::string& parameter) const override { return parameter == "vera_A" || parameter == "vera_B"; }
  std::string key_of(const std::string& parameter) const override {
    return is_shared(parameter) ? "base_model." + parameter : Peft::key_of(parameter);
  }

  nlohmann::json adapter_config() const override {
    return {{"peft_type", "VERA"},
            {"task_type", task_type_},
            {"r", options_.rank},
            {"projection_prng_key", options_.projection_seed},
            {"save_projection", true},
            {"vera_dropout", options_.dropout},
            {"d_initial", options_.d_initial},
            {kPeftBias, "none"},
            {"fan_in_fan_out", false},
            {"inference_mode", true},
            {"target_modules", nn::chosen_names(options_.choice(), sites_.sites())}};
  }

  ForeignKeys config_keys() const override {
    const nlohmann::json none = nlohmann::json::array();
    return {
        .fixed = {{"save_projection", {true}, "save it with save_projection = True, so that A and B are in the file"},
                  {kPeftBias, {"none"}},
                  {"fan_in_fan_out", {false}},
                  {"modules_to_save", {none}}},
        .other = {"peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
                  "inference_mode", "target_modules", "exclude_modules", "r", "projection_prng_key", "vera_dropout",
                  "d_initial", "init_weights", "layers_to_transform", "layers_pattern"},
        .unknown_refused = true};
  }
  std::vector<std::string> compared_keys() const override { return {"r"}; }
  void merge() override { sites_.merge(); }

 private:
  std::shared_ptr<LinearAdapter> made_for(const Site& site) {
    adapters_.push_back(std::make_shared<VeraAdapter>(site.path, site.linear->in(), site.linear->out(), options_.rank,
                                                      options_.dropout, shared_));
    add(site.path, *adapters_.back());
    return adapters_.back();
  }

  VeraOptions options_;
  std::shared_ptr<Projections> shared_ = std::make_shared<Projections>();
  nn::SiteAdapters sites_;
  std::vector<std::shared_ptr<VeraAdapter>> adapters_;  // of these sites
  nlohmann::json task_type_;                            // PEFT's, of what it is attached to; null: none in particular
};

}  // namespace antiphon::vera

ANTIPHON_PLUGIN(vera, "0.1.0") {
  using namespace antiphon::vera;
  antiphon::register_component<antiphon::Peft, Vera>(
      registrar, "vera", "trained scales between random matrices that all sites share", vera_table());
}
