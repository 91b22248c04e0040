#include <ATen/ATen.h>

#include <antiphon/component/peft.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/site_adapters.h>

#include <nlohmann/json.hpp>

#include "faulty.h"

namespace antiphon::fixture {
namespace peft {
namespace {

enum class Fault { none, forgets_bias, cuts_input, names_by_number, cannot_merge, denies_merging };

// y = g · (W x + b).
template <Fault fault>
struct GainAdapter : LinearAdapter, Module {
  at::Tensor gain;
  GainAdapter() { add("gain", gain, {1}, Init::ones, Role::vector); }
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override {
    return base.product(fault == Fault::cuts_input ? x.detach() : x) * nn::like(gain, x);
  }
  std::optional<LinearBase::Plain> merged(const LinearBase::Plain& base) const override {
    if (fault == Fault::cannot_merge) return std::nullopt;
    const auto scaled = [&](const at::Tensor& t) { return t.defined() ? t.to(at::kFloat) * gain : t; };
    return LinearBase::Plain{scaled(base.weight), fault == Fault::forgets_bias ? base.bias : scaled(base.bias)};
  }
};

template <Fault fault>
class Gain : public Peft, private Module {
 public:
  std::vector<std::string> attach(const PeftTarget& target) override {
    return adapters_.attach("gain", {"all-linear"}, target.sites, [this](const Site& site) {
      auto adapter = std::make_shared<GainAdapter<fault>>();
      add(fault == Fault::names_by_number ? fmt::format("gains.{}", count_++) : site.path, *adapter);
      return adapter;
    });
  }
  Module& module() override { return *this; }
  nlohmann::json adapter_config() const override { return {{"peft_type", "GAIN"}}; }
  ForeignKeys config_keys() const override {
    return {.other = {"peft_type", "base_model_name_or_path"}, .unknown_refused = true};
  }
  std::vector<std::string> compared_keys() const override { return {}; }
  std::string why_not_merged() const override { return fault == Fault::denies_merging ? "it says so" : ""; }
  void merge() override { adapters_.merge(); }

 private:
  nn::SiteAdapters adapters_;
  int count_ = 0;
};

}  // namespace
}  // namespace peft

void add_methods(plugin::Registrar& registrar) {
  using namespace peft;
  register_component<Peft, Gain<Fault::none>>(registrar, "sound", "");
  register_component<Peft, Gain<Fault::forgets_bias>>(registrar, "forgets_bias", "merges the weight alone");
  register_component<Peft, Gain<Fault::cuts_input>>(registrar, "cuts_input", "no gradient for what is below");
  register_component<Peft, Gain<Fault::names_by_number>>(registrar, "names_by_number", "parameters without their site");
  register_component<Peft, Gain<Fault::cannot_merge>>(registrar, "cannot_merge", "says that it may be merged");
  register_component<Peft, Gain<Fault::denies_merging>>(registrar, "denies_merging", "says that it may not be merged");
}

}  // namespace antiphon::fixture
