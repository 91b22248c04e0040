// Attention over packed sequences: no padding, and no token sees another sequence.
#pragma once
#include <antiphon/component/language_model.h>

#include <cstdint>
#include <vector>

namespace antiphon::nn {

// q [tokens, heads, head_size], k and v [tokens, kv_heads, head_size] -> [tokens, heads * head_size].
// `lengths` holds the number of tokens of each sequence. Scale 1/sqrt(head_size); heads is a multiple of kv_heads
// (GQA).
// `window` > 0: a causal query sees itself and the window - 1 tokens before.
at::Tensor packed_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                            const std::vector<int64_t>& lengths, bool causal, int64_t window = 0);

// What the queries of a layer see besides themselves, and how.
struct Sight {
  int64_t window = 0;    // as above
  double score_cap = 0;  // > 0: scores s become score_cap · tanh(s / score_cap)
  bool media = false;    // the embeddings of a part of a medium see each other (spans.h)
};

// The same, causal; `media` as DecoderInput has it.
at::Tensor packed_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                            const std::vector<int64_t>& lengths, const Sight& sight,
                            const std::vector<TokenSpan>& media);

// Which of the first `keys` positions each of the last `queries` tokens may see, [queries, keys] bool.
at::Tensor causal_mask(int64_t queries, int64_t keys, int64_t window, at::Device device);

}  // namespace antiphon::nn
