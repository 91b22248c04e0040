// Activation recomputation: a block keeps its input only, and is computed again when its gradient is wanted. Source:
// Chen et al. 2016 (Training Deep Nets with Sublinear Memory Cost); of every stack the first blocks, as Megatron's
// recompute_method "block" (megatron/core/transformer/transformer_block.py).
#pragma once
#include <antiphon/nn/blocks/run_blocks.h>

namespace antiphon::nn {

class Recompute : public BlockPolicy {
 public:
  // `blocks`: how many of each stack, from its first on. `on_host`: their inputs wait in the host's memory.
  explicit Recompute(int64_t blocks, bool on_host = false) : blocks_(blocks), on_host_(on_host) {}
  // The second time is the first one to the bit: with the same random numbers, adapters and mode. Gradients of
  // parameters go into their grad. Without a gradient to come, the block just runs.
  at::Tensor run(const StackBlock& block, const at::Tensor& x) override;

 private:
  int64_t blocks_;
  bool on_host_;
};

}  // namespace antiphon::nn
