#include <antiphon/nn/attention/attention.h>

#include <ATen/ATen.h>
#include <antiphon/nn/attention/block_attention.h>
#include <antiphon/nn/attention/capped_attention.h>
#include <antiphon/nn/attention/device_attention.h>
#include <antiphon/nn/attention/float_attention.h>
#include <antiphon/nn/attention/short_attention.h>
#include <antiphon/nn/attention/spans.h>

#include <numeric>

namespace antiphon::nn {
namespace {

// q [batch, heads, queries, head_size], k and v [batch, kv_heads, keys, head_size].
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::optional<at::Tensor>& mask,
                  bool causal) {
  return at::scaled_dot_product_attention(q, k, v, mask, 0.0, causal, std::nullopt, q.size(1) != k.size(1));
}

// [n * s, heads, d] -> [n, heads, s, d]
at::Tensor as_batch(const at::Tensor& x_thd, int64_t n) {
  return x_thd.view({n, x_thd.size(0) / n, x_thd.size(1), x_thd.size(2)}).transpose(1, 2);
}

// [n, heads, s, d] -> [n * s, heads * d]
at::Tensor as_rows(const at::Tensor& y) {
  return y.transpose(1, 2).reshape({y.size(0) * y.size(2), y.size(1) * y.size(3)});
}

}  // namespace

at::Tensor causal_mask(int64_t queries, int64_t keys, int64_t window, at::Device device) {
  auto mask = at::ones({queries, keys}, at::TensorOptions().dtype(at::kBool).device(device)).tril(keys - queries);
  return window ? mask.triu(keys - queries - window + 1) : mask;
}

at::Tensor packed_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                            const std::vector<int64_t>& lengths, bool causal, int64_t window) {
  const int64_t longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  if (window >= longest) window = 0;
  if (fits_varlen_attention(q_thd, lengths, window))
    return varlen_attention(q_thd, k_thd, v_thd, lengths, causal, window);
  if (!window && fits_float_attention(q_thd)) return float_attention(q_thd, k_thd, v_thd, lengths, causal);
  if (causal && !window && fits_short_attention(q_thd, lengths)) return short_attention(q_thd, k_thd, v_thd, lengths);
  if (!window && fits_block_attention(q_thd)) return block_attention(q_thd, k_thd, v_thd, lengths, causal);
  std::vector<at::Tensor> outputs;
  int64_t begin = 0;
  for (size_t i = 0; i < lengths.size();) {
    size_t end = i + 1;  // neighbours of equal length go through one call
    while (end < lengths.size() && lengths[end] == lengths[i]) ++end;
    const auto n = static_cast<int64_t>(end - i), tokens = n * lengths[i];
    auto cut = [&](const at::Tensor& x) { return as_batch(x.narrow(0, begin, tokens), n); };
    std::optional<at::Tensor> mask;
    if (causal && window) mask = causal_mask(lengths[i], lengths[i], window, q_thd.device());
    outputs.push_back(as_rows(attend(cut(q_thd), cut(k_thd), cut(v_thd), mask, causal && !mask)));
    begin += tokens, i = end;
  }
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs);
}

at::Tensor packed_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                            const std::vector<int64_t>& lengths, const Sight& sight,
                            const std::vector<TokenSpan>& media) {
  const bool has_spans = sight.media && !media.empty() && !q_thd.is_meta(), is_capped = sight.score_cap > 0;
  at::Tensor plain;
  if (!is_capped) plain = packed_attention(q_thd, k_thd, v_thd, lengths, true, sight.window);
  if (!has_spans && !is_capped) return plain;
  std::vector<at::Tensor> outputs;
  int64_t begin = 0;
  for (const auto length : lengths) {
    const auto cut = [&](const at::Tensor& x) { return x.narrow(0, begin, length); };
    const auto own = has_spans ? spans_within(media, begin, length) : std::vector<TokenSpan>();
    const auto q = cut(q_thd), k = cut(k_thd).transpose(0, 1), v = cut(v_thd).transpose(0, 1);
    outputs.push_back(is_capped ? capped_attention(q, k, v, sight, own)
                                : with_spans(cut(plain), q, k, v, own, sight.window));
    begin += length;
  }
  return at::cat(outputs);
}

}  // namespace antiphon::nn
