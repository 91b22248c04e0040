// Causal attention of many short sequences at once, with its gradient.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace antiphon::nn {

// Whether short_attention takes these: float32 or bfloat16 on the CPU, and no sequence longer than 256 tokens (a longer
// one is better served by a flash kernel, which keeps no probabilities).
bool fits_short_attention(const at::Tensor& q_thd, const std::vector<int64_t>& lengths);

// As packed_attention (attention.h), causal. Sequences of similar length are laid out together, so that a layer costs a
// few batched products rather than several calls per sequence; it keeps the probabilities for the backward pass.
at::Tensor short_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                           const std::vector<int64_t>& lengths);

}  // namespace antiphon::nn
