// A small model for methods of fine-tuning.
#pragma once
#include <ATen/ATen.h>

#include <antiphon/component/peft.h>
#include <antiphon/nn/linear/linear.h>

#include "network.h"

namespace antiphon::apps::conformance {

// A frozen model of linear layers with the names of a Llama, some with a bias.
class Base : public Module {
 public:
  Base() {
    for (int layer = 0; layer < 2; ++layer) {
      for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"})
        add_linear(fmt::format("model.layers.{}.self_attn.{}", layer, name), layer == 1);
      for (const char* name : {"gate_proj", "up_proj", "down_proj"})
        add_linear(fmt::format("model.layers.{}.mlp.{}", layer, name), false);
    }
    start(*this, 61);  // biases are not zero
    set_requires_grad(false);
  }
  // Every layer on the same input [tokens, in], side by side.
  at::Tensor forward(const at::Tensor& x) const {
    std::vector<at::Tensor> outputs;
    for (const auto& linear : linears_) outputs.push_back(linear->forward(x));
    return at::cat(outputs, -1);
  }
  static constexpr int64_t in = 12, out = 20, hidden_size = 16;
  static constexpr KvShape kv{2, 2, 4};

 private:
  void add_linear(const std::string& name, bool bias) {
    linears_.push_back(std::make_unique<nn::Linear>(in, out, bias));
    add(name, *linears_.back());
  }
  std::vector<std::unique_ptr<nn::Linear>> linears_;
};

struct Adapted {
  std::unique_ptr<Base> base = std::make_unique<Base>();
  std::unique_ptr<Peft> peft;
  std::vector<std::string> paths;
};

inline PeftTarget target_of(Base& base) {
  PeftTarget target{base.sites(), Base::hidden_size};
  for (const auto& parameter : base.parameters()) target.parameters.push_back(parameter.name);
  target.kv = Base::kv;
  target.embed = [](const at::Tensor& ids) { return ids.unsqueeze(1).expand({-1, Base::hidden_size}).to(at::kFloat); };
  return target;
}

inline Adapted attached(const Subject& subject) {
  Adapted out;
  out.peft = build<Peft>(subject);
  out.paths = out.peft->attach(target_of(*out.base));
  return out;
}

// The checks of a method that puts virtual tokens before every sequence, or keys and values.
void check_prompt(Report& report, const Subject& subject);

}  // namespace antiphon::apps::conformance
