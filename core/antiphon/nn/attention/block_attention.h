// Attention of long sequences on the CPU as matrix products of blocks of queries, with its gradient.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace antiphon::nn {

// float32 or bfloat16 on the CPU.
bool fits_block_attention(const at::Tensor& q_thd);

// As packed_attention (attention.h) without a window. A block sees only the keys that its last query may see;
// the backward pass recomputes the probabilities, so that memory grows with the length and not with its square (Dao et
// al. 2022). LibTorch's flash kernel for the CPU does the same with products too small to be fast.
at::Tensor block_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                           const std::vector<int64_t>& lengths, bool causal);

// Queries that follow what a cache holds, without a gradient: q [n, heads, head_size], k and v [kv_heads, past + n,
// head_size] -> [n, heads * head_size]. Query i sees the first past + i + 1 keys.
at::Tensor block_attention_over(const at::Tensor& q_thd, const at::Tensor& k_htd, const at::Tensor& v_htd);

}  // namespace antiphon::nn
