#include <antiphon/nn/blocks/block_mlp.h>

#include <ATen/ATen.h>

#include <antiphon/nn/activation.h>

namespace antiphon::nn {

BlockMlp::BlockMlp(const BlockMlpOptions& o)
    : up(o.hidden_size, o.intermediate_size, o.bias),
      down(o.intermediate_size, o.hidden_size, o.bias),
      activation_(o.activation) {
  if (o.gated) {
    gate = std::make_unique<Linear>(o.hidden_size, o.intermediate_size, o.bias);
    add("gate_proj", *gate);
  }
  add("up_proj", up);
  add("down_proj", down);
}

at::Tensor BlockMlp::forward(const at::Tensor& x_td) const {
  const auto u = up.forward(x_td);
  if (!gate) return down.forward(activate(activation_, u));
  const auto g = gate->forward(x_td);
  return down.forward(activation_ == "silu" ? swiglu(g, u) : activate(activation_, g) * u);
}

}  // namespace antiphon::nn
