// A small model, and its training by a placement, for tests of placements.
#pragma once
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/parallel/sharded.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace antiphon::parallel::testing {

constexpr int64_t kWidth = 5;  // no multiple of the number of processes

inline size_t most_with_memory = 0;
inline const Sharded* counted = nullptr;  // whose blocks are counted

struct Layer : Module {
  Layer() {
    add("weight", weight, {kWidth, kWidth}, Init::normal, Role::matrix);
    add("bias", bias, {kWidth}, Init::normal, Role::vector);
    add("gate", gate, {1, kWidth}, Init::normal, Role::vector);  // all but one process have no row of it
  }
  at::Tensor forward(const at::Tensor& x) const {
    if (counted) most_with_memory = std::max(most_with_memory, counted->blocks_with_memory());
    return x + at::tanh(at::addmm(bias, x, weight.t())) * gate;
  }
  at::Tensor weight, bias, gate;
};

// A part before the blocks that only some batches use, the blocks, and a matrix at both ends.
struct Net : Module {
  explicit Net(bool frozen_blocks, int64_t blocks = 4) {
    for (int64_t i = 0; i < blocks; ++i) {
      layers.push_back(std::make_unique<Layer>());
      add("layers." + std::to_string(i), *layers.back());
    }
    add("shared", shared, {kWidth, kWidth}, Init::normal, Role::matrix);
    add("before", before, {3, kWidth}, Init::normal, Role::matrix);
    add("unused", unused, {2, 2}, Init::normal, Role::matrix);
    set_requires_grad(true);
    initialize(7, at::kCPU);
    to(at::kCPU, at::kDouble);
    if (frozen_blocks) {
      for (auto& layer : layers) layer->set_requires_grad(false);
      shared.set_requires_grad(false);
    }
  }
  at::Tensor loss(int64_t batch) const {
    auto x =
        at::matmul(at::arange(2 * kWidth, at::kDouble).view({2, kWidth}) * 0.1 + static_cast<double>(batch), shared) *
        0.05;
    if (batch % 2 == 0) x = x + before.narrow(0, 0, 2);
    x = nn::run_blocks(layers, x, [](const Layer& layer, const at::Tensor& in, size_t) { return layer.forward(in); });
    return at::matmul(x, shared.t()).square().sum() * 1e-3;
  }
  std::vector<Module*> blocks() const {
    std::vector<Module*> all;
    for (const auto& layer : layers) all.push_back(layer.get());
    return all;
  }
  std::vector<Parameter> trained() {
    auto all = parameters();
    std::erase_if(all, [](const Parameter& p) { return !p.tensor->requires_grad(); });
    return all;
  }
  std::vector<std::unique_ptr<Layer>> layers;
  at::Tensor shared, before, unused;
};

inline void train(Net& net, Placement& placement, nn::BlockPolicy* inner, const std::vector<int64_t>& batches) {
  placement.make_usable();
  for (const auto batch : batches) {
    const nn::BlockPolicyScope policy(placement.around(inner));
    const auto loss = net.loss(batch);
    if (loss.requires_grad()) torch::autograd::backward({loss}, {});
    placement.end_pass();
  }
  placement.add_gradients();
}

// Of each parameter after one process has trained with all batches.
inline std::vector<Parameter> whole_gradients(Net& net, int64_t batches) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i < batches; ++i) all.push_back(i);
  Replicated replicated(net.trained());
  train(net, replicated, nullptr, all);
  return net.trained();
}

}  // namespace antiphon::parallel::testing
