// A parameter-efficient fine-tuning method: small trainable tensors attached to sites of a frozen model.
#pragma once
#include <antiphon/component/kind.h>
#include <antiphon/component/module.h>

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>

namespace antiphon {

// A change of a linear map: y += scale · B (A x).
struct LowRank {
  at::Tensor a, b;  // [rank, in], [out, rank]
  double scale = 1;
};

// What an adapter does at one linear site; nn::Linear calls it in place of its own product.
class LinearAdapter {
 public:
  virtual ~LinearAdapter() = default;
  // x [..., in] -> [..., out], the base product and bias included.
  virtual at::Tensor forward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) = 0;
  // The same around a base product, bias included, that is computed elsewhere (in 8 bit floats).
  using Map = std::function<at::Tensor(const at::Tensor&)>;
  virtual at::Tensor forward(const at::Tensor& x, const Map& base) = 0;
  // The whole change without a gradient, where it has this form, so that decoding can fuse it; else undefined tensors.
  virtual LowRank low_rank() const { return {}; }
  // The weight [out, in] float32 that gives the same map without the adapter.
  virtual at::Tensor merged_weight(const at::Tensor& weight) const = 0;
};

class Peft {
 public:
  virtual ~Peft() = default;
  // Attaches to the sites that match the targets and returns their paths; site paths are the module names of the
  // Hugging Face model ("model.layers.0.self_attn.q_proj"). Error(config) where a target matches no site.
  // Parameters are created on the meta device.
  virtual std::vector<std::string> attach(const std::vector<Site>& sites) = 0;
  // The adapter's parameters, named as in PEFT below "base_model.model.": "<site path>.lora_A.weight".
  virtual Module& module() = 0;
  // PEFT's adapter_config.json for what is attached.
  virtual nlohmann::json adapter_config() const = 0;
  // Folds every adapter into its base weight (in float32, rounded once) and detaches it.
  virtual void merge() = 0;
};

template <>
struct KindOf<Peft> : Kind<> {
  static constexpr const char* name = "peft";
};

}  // namespace antiphon
