// Attention over packed sequences: no padding, and no token sees another sequence.
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/component/language_model.h>

namespace antiphon::nn {

// q [tokens, heads, head_size], k and v [tokens, kv_heads, head_size] -> [tokens, heads * head_size].
// `lengths` holds the number of tokens of each sequence. Scale 1/sqrt(head_size); heads is a multiple of kv_heads
// (GQA).
// `window` > 0: a causal query sees itself and the window - 1 tokens before.
at::Tensor packed_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                            const std::vector<int64_t>& lengths, bool causal, int64_t window = 0);

// The same, causal, after appending k and v to layer `layer` of the cache; every query also sees its row's past.
// The caller advances cache.lengths once all layers are done.
at::Tensor cached_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                            const DecoderInput& input, size_t layer, int64_t window = 0);

// Error(internal) if the cache has no room for `tokens` more in that row.
void expect_room(const KvCache& cache, int64_t row, int64_t tokens);

// A zero-filled cache for `layers` layers.
KvCache make_kv_cache(int64_t layers, int64_t rows, int64_t kv_heads, int64_t capacity, int64_t head_size,
                      at::TensorOptions options);

}  // namespace antiphon::nn
