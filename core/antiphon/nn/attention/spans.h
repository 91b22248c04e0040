// Attention in which the tokens of a span see each other, whatever their order: the embeddings of a picture in Gemma 3
// (Team et al. 2025; transformers: models/gemma3, create_masks_for_vision_model).
#pragma once
#include <antiphon/component/language_model.h>

#include <vector>

namespace antiphon::nn {

// Those of the spans that lie in tokens [begin, begin + count), counted from `begin` on. Error(internal) for one that
// lies there in part.
std::vector<TokenSpan> spans_within(const std::vector<TokenSpan>& spans, int64_t begin, int64_t count);

// y [n, heads * head_size], as causal attention gives it for q [n, heads, head_size], the last n of k and v [kv_heads,
// keys, head_size], with the rows of the spans, counted from the first query on, computed anew: each of their queries
// sees the keys up to the span's end, but with a window none that is `window` tokens or more before the query.
at::Tensor with_spans(const at::Tensor& y_nd, const at::Tensor& q_nhd, const at::Tensor& k_htd, const at::Tensor& v_htd,
                      const std::vector<TokenSpan>& spans, int64_t window);

}  // namespace antiphon::nn
