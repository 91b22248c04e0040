#include <antiphon/nn/blocks/mlp.h>

#include <ATen/core/Tensor.h>

#include <antiphon/nn/activation.h>

namespace antiphon::nn {

Mlp::Mlp(int64_t in, int64_t hidden, int64_t out, int64_t depth, std::string activation, bool bias)
    : activation_(std::move(activation)) {
  for (int64_t i = 0; i < depth; ++i) {
    layers_.push_back(std::make_unique<Linear>(i == 0 ? in : hidden, i + 1 == depth ? out : hidden, bias));
    add(std::to_string(i), *layers_.back());
  }
}

at::Tensor Mlp::forward(at::Tensor x) const {
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (i > 0) x = activate(activation_, std::move(x));
    x = layers_[i]->forward(x);
  }
  return x;
}

}  // namespace antiphon::nn
