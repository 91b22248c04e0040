// Reads and writes PEFT's format: adapter_config.json with peft_type LORA, keys <site>.lora_A.weight / lora_B.weight.
#include <ATen/ATen.h>
#include <antiphon/component/peft.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/site_adapters.h>
#include <antiphon/plugin/manifest.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include "adapter.h"
#include "keys.h"

namespace antiphon::lora {

struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16, dropout = 0;
  bool rslora = false;
  std::vector<std::string> targets = {"q_proj", "v_proj"};
};

const config::Table<LoraOptions>& lora_table() {
  using O = LoraOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("lora")
          .field("rank", &O::rank, "rank of the update", {.min = 1, .max = 4096})
          .field("alpha", &O::alpha, "the update is scaled by alpha / rank", {.min = 0, .above_min = true})
          .field("rslora", &O::rslora, "scale by alpha / sqrt(rank) instead (Kalajdzievski 2023)")
          .field("dropout", &O::dropout, "on the adapter's input, in training", {.min = 0, .max = 1})
          .field("targets", &O::targets,
                 "last parts of site names, or globs over whole names; \"all-linear\" for every site"));
  return *table;
}

class Lora : public Peft, private Module {
 public:
  explicit Lora(const LoraOptions& options) : options_(options) {}

  std::vector<std::string> attach(const PeftTarget& target) override {
    if (target.hidden_size > 0) task_type_ = "CAUSAL_LM";
    return adapters_.attach("lora", options_.targets, target.sites,
                            [this](const Site& site) { return made_for(site); });
  }

  Module& module() override { return *this; }

  nlohmann::json adapter_config() const override {
    return {{"peft_type", "LORA"},
            {"task_type", task_type_},
            {"r", options_.rank},
            {"lora_alpha", options_.alpha},
            {"lora_dropout", options_.dropout},
            {"use_rslora", options_.rslora},
            {"bias", "none"},
            {"inference_mode", true},
            {"fan_in_fan_out", false},
            {"target_modules", nn::target_names(options_.targets, adapters_.sites())}};
  }

  ForeignKeys config_keys() const override { return lora_keys(); }
  std::vector<std::string> compared_keys() const override { return {"r", "lora_alpha", "use_rslora"}; }
  void merge() override { adapters_.merge(); }

 private:
  std::shared_ptr<LinearAdapter> made_for(const Site& site) {
    const double rank = static_cast<double>(options_.rank);
    const double scale = options_.alpha / (options_.rslora ? std::sqrt(rank) : rank);
    auto adapter = std::make_shared<LoraAdapter>(site.path, site.linear->in(), site.linear->out(), options_.rank, scale,
                                                 options_.dropout);
    add(site.path, *adapter);
    return adapter;
  }

  LoraOptions options_;
  nn::SiteAdapters adapters_;
  nlohmann::json task_type_;  // PEFT's, of what it is attached to; null: none in particular
};

}  // namespace antiphon::lora

ANTIPHON_PLUGIN(lora, "0.1.0") {
  using namespace antiphon::lora;
  antiphon::register_component<antiphon::Peft, Lora>(registrar, "lora", "low-rank adapters on linear sites",
                                                     lora_table());
}
