#include <antiphon/nn/attention/capped_attention.h>

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace antiphon::nn {
namespace {

// q [..., queries, d], k and v [..., keys, d]; `seen` says which keys each query sees, and broadcasts.
at::Tensor capped(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& seen, double cap) {
  const auto products = at::matmul(q, k.transpose(-1, -2));
  const auto wide = products.scalar_type() == at::kDouble ? products : products.to(at::kFloat);
  const auto scores = (wide * (1 / std::sqrt(static_cast<double>(q.size(-1))) / cap)).tanh() * cap;
  const auto hidden = scores.masked_fill(seen.bitwise_not(), -std::numeric_limits<double>::infinity());
  return at::matmul(at::softmax(hidden, -1).to(v.scalar_type()), v);
}

at::Tensor mask_of(int64_t n, int64_t keys, const Sight& sight, const std::vector<TokenSpan>& spans,
                   at::Device device) {
  auto mask = causal_mask(n, keys, sight.window, device);
  for (const auto& [begin, tokens] : spans)
    mask.narrow(0, begin, tokens)
        .narrow(1, keys - n + begin, tokens)
        .logical_or_(causal_mask(tokens, tokens, 0, device).t());
  return mask;
}

}  // namespace

at::Tensor capped_attention(const at::Tensor& q_nhd, const at::Tensor& k_htd, const at::Tensor& v_htd,
                            const Sight& sight, const std::vector<TokenSpan>& spans) {
  const int64_t n = q_nhd.size(0), groups = k_htd.size(0), d = q_nhd.size(2);
  // [groups, heads / groups, n, d]
  const auto q = q_nhd.reshape({n, groups, -1, d}).permute({1, 2, 0, 3});
  const auto mask = mask_of(n, k_htd.size(1), sight, spans, q_nhd.device());
  const auto y = capped(q, k_htd.unsqueeze(1), v_htd.unsqueeze(1), mask, sight.score_cap);
  return y.permute({2, 0, 1, 3}).reshape({n, -1});
}

at::Tensor capped_decode_attention(const at::Tensor& q_nhd, const at::Tensor& keys, const at::Tensor& values,
                                   const at::Tensor& blocks_nb, const at::Tensor& held_n, const Sight& sight) {
  const int64_t n = q_nhd.size(0), groups = keys.size(1), d = q_nhd.size(2);
  const auto rows_of = [&](const at::Tensor& all) {  // [n, groups, positions, d]
    return all.index_select(0, blocks_nb.flatten())
        .view({n, blocks_nb.size(1), groups, all.size(2), d})
        .transpose(1, 2)
        .reshape({n, groups, -1, d});
  };
  const auto k = rows_of(keys);
  const auto length = held_n.unsqueeze(1) + 1, position = at::arange(k.size(2), held_n.options()).unsqueeze(0);
  auto seen = position.lt(length);
  if (sight.window) seen = seen.logical_and(position.ge(length - sight.window));
  const auto q = q_nhd.reshape({n, groups, -1, d});
  return capped(q, k, rows_of(values), seen.unsqueeze(1).unsqueeze(1), sight.score_cap).reshape(q_nhd.sizes());
}

}  // namespace antiphon::nn
