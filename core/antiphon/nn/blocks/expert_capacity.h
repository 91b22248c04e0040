// Experts that take a limited number of tokens (Lepikhin et al. 2020, GShard, section 2.2; NeMo:
// moe_expert_capacity_factor and moe_token_drop_policy of megatron/core/transformer/moe/moe_utils.py).
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/comm/group.h>

namespace antiphon::nn {

struct CapacityOptions {
  double factor = 0;      // capacity = ⌈factor · tokens · experts of each token / experts⌉; 0: no limit
  bool by_weight = true;  // an expert keeps the tokens of the largest weights; else the first of the batch
};

// Which choices are kept [tokens, top_k] bool, of chosen [tokens, top_k] int64 with their weights. `slices`: processes
// that have some of the batch's tokens each, in the order of ranks, whose tokens compete; nullptr: this one has all.
at::Tensor within_capacity(const at::Tensor& chosen, const at::Tensor& weights, int64_t experts,
                           const CapacityOptions& options, comm::Group* slices);

}  // namespace antiphon::nn
