// float32 attention on the CPU, with its gradient.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace antiphon::nn {

bool fits_float_attention(const at::Tensor& q_thd);

// As packed_attention (attention.h) without a window. A thread takes one head of one sequence at a time, a block of its
// queries at once, with the keys that they may see: the scores stay in its cache, and the backward pass recomputes them
// (Dao et al. 2022), so that memory grows with the length and not with its square.
at::Tensor float_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                           const std::vector<int64_t>& lengths, bool causal);

// Queries that follow what a cache holds, without a gradient: q [n, heads, head_size], k and v [kv_heads, past + n,
// head_size] -> [n, heads * head_size]. Query i sees the first past + i + 1 keys.
at::Tensor float_attention_over(const at::Tensor& q_thd, const at::Tensor& k_htd, const at::Tensor& v_htd);

}  // namespace antiphon::nn
