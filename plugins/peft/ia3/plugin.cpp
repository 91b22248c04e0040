// (IA)³ (Liu et al. 2022): y = l ⊙ (W x + b), at feed-forward sites y = W (l ⊙ x) + b. Reads and writes PEFT's format
// (peft/tuners/ia3): peft_type IA3, keys <site>.ia3_l, [out, 1] or [1, in].
#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/site_adapters.h>
#include <antiphon/nn/linear/site_choice.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>

#include <nlohmann/json.hpp>

namespace antiphon::ia3 {

struct Ia3Options : nn::SiteOptions {
  Ia3Options() { targets = config::Value::Array{"k_proj", "v_proj", "down_proj"}; }
  std::vector<std::string> feedforward = {"down_proj"};
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<Ia3Options>& ia3_table() {
  using O = Ia3Options;
  static const auto* table = new config::Table<O>(nn::with_sites(config::Table<O>("ia3"))
                                                      .field("feedforward", &O::feedforward,
                                                             "those of them whose input is scaled in place of their "
                                                             "output"));
  return *table;
}

void Ia3Options::read_pretrained(const PretrainedConfig& pretrained) {
  read_options(pretrained.config, {{"target_modules", "targets"}, {"feedforward_modules", "feedforward"}}, ia3_table(),
               *this);
}

class Ia3Adapter : public LinearAdapter, public Module {
 public:
  Ia3Adapter(int64_t in, int64_t out, bool feedforward) : feedforward_(feedforward) {
    const std::vector<int64_t> shape = feedforward ? std::vector<int64_t>{1, in} : std::vector<int64_t>{out, 1};
    add("ia3_l", scale_, shape, Init::ones, Role::vector);
  }

  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override {
    const auto scale = nn::like(scale_, x).flatten();
    return feedforward_ ? base.product(x * scale) : base.product(x) * scale;
  }

  std::optional<LinearBase::Plain> merged(const LinearBase::Plain& base) const override {
    LinearBase::Plain merged = base;
    if (base.weight.defined()) merged.weight = base.weight.to(at::kFloat) * scale_.to(at::kFloat);
    if (base.bias.defined() && !feedforward_) merged.bias = base.bias.to(at::kFloat) * scale_.to(at::kFloat).flatten();
    return merged;
  }

  void keep(bool all) override { Module::keep(all); }
  void keep_outputs(int64_t begin, int64_t size) override {
    if (!feedforward_) keep_part(scale_, 0, begin, size);
  }
  // The sum of scaled products is the scaled sum.
  void keep_inputs(int64_t begin, int64_t size) override {
    if (feedforward_) keep_part(scale_, 1, begin, size);
  }

 private:
  at::Tensor scale_;
  bool feedforward_;
};

class Ia3 : public Peft, private Module {
 public:
  explicit Ia3(const Ia3Options& options) : options_(options) {}

  std::vector<std::string> attach(const PeftTarget& target) override {
    if (target.hidden_size > 0) task_type_ = "CAUSAL_LM";
    const auto chosen = nn::chosen_sites("ia3", options_.choice(), target.sites);
    auto paths = adapters_.attach(chosen, [this](const Site& site) {
      auto adapter = std::make_shared<Ia3Adapter>(site.linear->in(), site.linear->out(), is_feedforward(site.path));
      add(site.path, *adapter);
      return adapter;
    });
    // As in PEFT they are some of the targets; those by default need not be.
    if (options_.feedforward != Ia3Options().feedforward)
      nn::matching_sites("ia3: feedforward", options_.feedforward, adapters_.sites());
    return paths;
  }

  Module& module() override { return *this; }

  nlohmann::json adapter_config() const override {
    std::vector<Site> feedforward = adapters_.sites();
    std::erase_if(feedforward, [this](const Site& site) { return !is_feedforward(site.path); });
    return {{"peft_type", "IA3"},
            {"task_type", task_type_},
            {"target_modules", nn::chosen_names(options_.choice(), adapters_.sites())},
            {"feedforward_modules", nn::target_names(options_.feedforward, feedforward)},
            {"init_ia3_weights", true},
            {"fan_in_fan_out", false},
            {"inference_mode", true}};
  }

  // The shapes of the tensors say which sites are feed-forward.
  ForeignKeys config_keys() const override {
    return {.fixed = {{"fan_in_fan_out", {false}}, {"modules_to_save", {nlohmann::json::array()}}},
            .other = {"peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
                      "inference_mode", "target_modules", "exclude_modules", "feedforward_modules", "init_ia3_weights"},
            .unknown_refused = true};
  }
  std::vector<std::string> compared_keys() const override { return {}; }
  void merge() override { adapters_.merge(); }

 private:
  bool is_feedforward(const std::string& path) const {
    return std::ranges::any_of(options_.feedforward,
                               [&](const auto& target) { return nn::matches_target(target, path); });
  }
  Ia3Options options_;
  nn::SiteAdapters adapters_;
  nlohmann::json task_type_;  // PEFT's, of what it is attached to; null: none in particular
};

}  // namespace antiphon::ia3

ANTIPHON_PLUGIN(ia3, "0.1.0") {
  using namespace antiphon::ia3;
  antiphon::register_component<antiphon::Peft, Ia3>(registrar, "ia3", "scales of what linear sites give, or take",
                                                    ia3_table());
}
