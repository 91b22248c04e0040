// A method of fine-tuning: one trained number for each linear layer, y = g · (W x + b).
#include <ATen/ATen.h>

#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/site_adapters.h>
#include <antiphon/plugin/manifest.h>

#include <nlohmann/json.hpp>

using namespace antiphon;

struct GainAdapter : LinearAdapter, Module {
  at::Tensor gain;
  GainAdapter() { add("gain", gain, {1}, Init::ones, Role::vector); }
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override {
    return base.product(x) * nn::like(gain, x);
  }
  std::optional<LinearBase::Plain> merged(const LinearBase::Plain& base) const override {
    const auto scaled = [&](const at::Tensor& t) { return t.defined() ? t.to(at::kFloat) * gain : t; };
    return LinearBase::Plain{scaled(base.weight), scaled(base.bias)};
  }
};

class Gain : public Peft, private Module {
 public:
  std::vector<std::string> attach(const PeftTarget& target) override {
    return adapters_.attach("gain", {"all-linear"}, target.sites, [this](const Site& site) {
      auto adapter = std::make_shared<GainAdapter>();
      add(site.path, *adapter);
      return adapter;
    });
  }
  Module& module() override { return *this; }
  nlohmann::json adapter_config() const override { return {{"peft_type", "GAIN"}}; }
  ForeignKeys config_keys() const override {
    return {.other = {"peft_type", "base_model_name_or_path"}, .unknown_refused = true};
  }
  std::vector<std::string> compared_keys() const override { return {}; }
  void merge() override { adapters_.merge(); }

 private:
  nn::SiteAdapters adapters_;
};

ANTIPHON_PLUGIN(gain, "0.1.0") {
  register_component<Peft, Gain>(registrar, "gain", "one number for each linear layer");
}
