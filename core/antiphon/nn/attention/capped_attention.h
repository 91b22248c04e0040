// Attention whose scores s become cap · tanh(s / cap), by LibTorch's operations: Gemma 2 (Team et al. 2024;
// transformers: models/gemma2, eager_attention_forward).
#pragma once
#include <antiphon/nn/attention/attention.h>

namespace antiphon::nn {

// q [n, heads, head_size], the last n of k and v [kv_heads, keys, head_size] -> [n, heads * head_size]. `spans` as in
// with_spans (spans.h). Differentiable; it keeps scores for the backward pass, as many as queries times keys.
at::Tensor capped_attention(const at::Tensor& q_nhd, const at::Tensor& k_htd, const at::Tensor& v_htd,
                            const Sight& sight, const std::vector<TokenSpan>& spans);

// As kernels::decode_attention (kernels/ops.h).
at::Tensor capped_decode_attention(const at::Tensor& q_nhd, const at::Tensor& keys, const at::Tensor& values,
                                   const at::Tensor& blocks_nb, const at::Tensor& held_n, const Sight& sight);

}  // namespace antiphon::nn
