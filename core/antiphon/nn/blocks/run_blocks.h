// The one way to run a stack of blocks, of decoders, encoders and connectors alike, and what may be done around each. A
// profile's trace has each by its number.
#pragma once
#include <antiphon/base/trace.h>
#include <antiphon/component/module.h>

#include <functional>
#include <memory>
#include <vector>

namespace antiphon::nn {

// One block of a stack. What it reads besides x belongs to it, so that it can run again later.
struct StackBlock {
  Module& module;
  size_t index = 0;  // in the stack
  std::function<at::Tensor(const at::Tensor& x)> forward;
};

// What is done around each block: computing it again in the backward pass, gathering its parameters, moving them to the
// device.
class BlockPolicy {
 public:
  virtual ~BlockPolicy() = default;
  virtual at::Tensor run(const StackBlock& block, const at::Tensor& x) = 0;
};

// Stacks that this thread runs while an object lives follow its policy; nullptr: none. The innermost one counts.
class BlockPolicyScope {
 public:
  explicit BlockPolicyScope(BlockPolicy* policy);
  ~BlockPolicyScope();
  BlockPolicyScope(const BlockPolicyScope&) = delete;
  static BlockPolicy* now();

 private:
  BlockPolicy* before_;
};

// Whether something of a block is trained: a parameter of its own, or an adapter on it.
bool learns(Module& block);

// x through layers [begin, end), one after the other; `forward(layer, x, index)` runs one. It is copied if it is to run
// again.
template <class Layer, class Forward>
at::Tensor run_blocks(const std::vector<std::unique_ptr<Layer>>& layers, size_t begin, size_t end, at::Tensor x,
                      const Forward& forward) {
  auto* policy = BlockPolicyScope::now();
  const auto shared = policy ? std::make_shared<const Forward>(forward) : nullptr;
  for (size_t i = begin; i < end; ++i) {
    auto& layer = *layers[i];
    const auto scope = TraceScope::part("block ", i);
    if (!policy) {
      x = forward(layer, x, i);
      continue;
    }
    x = policy->run({layer, i, [shared, &layer, i](const at::Tensor& in) { return (*shared)(layer, in, i); }}, x);
  }
  return x;
}

// Through all of them.
template <class Layer, class Forward>
at::Tensor run_blocks(const std::vector<std::unique_ptr<Layer>>& layers, const at::Tensor& x, const Forward& forward) {
  return run_blocks(layers, 0, layers.size(), x, forward);
}

}  // namespace antiphon::nn
