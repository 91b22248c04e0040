#include <antiphon/nn/attention/attention.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/attention/block_attention.h>
#include <antiphon/nn/attention/device_attention.h>
#include <antiphon/nn/attention/float_attention.h>
#include <antiphon/nn/attention/short_attention.h>

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

// Which of the first `keys` positions each of the last `queries` tokens may see.
at::Tensor causal_mask(int64_t queries, int64_t keys, int64_t window, at::Device device) {
  auto mask = at::ones({queries, keys}, at::TensorOptions().dtype(at::kBool).device(device)).tril(keys - queries);
  return window ? mask.triu(keys - queries - window + 1) : mask;
}

void append(KvCache& cache, size_t layer, int64_t row, const at::Tensor& k_thd, const at::Tensor& v_thd) {
  const int64_t begin = cache.lengths[row], n = k_thd.size(0);
  // A new cache has the parameters' dtype; if these are float32 masters of a model that computes in bf16, it follows
  // the computation.
  if (cache.keys[layer].scalar_type() != k_thd.scalar_type()) {
    cache.keys[layer] = cache.keys[layer].to(k_thd.scalar_type());
    cache.values[layer] = cache.values[layer].to(k_thd.scalar_type());
  }
  cache.keys[layer][row].narrow(1, begin, n).copy_(k_thd.transpose(0, 1));
  cache.values[layer][row].narrow(1, begin, n).copy_(v_thd.transpose(0, 1));
}

bool is_iota(const std::vector<int64_t>& rows) {
  for (size_t i = 0; i < rows.size(); ++i)
    if (rows[i] != static_cast<int64_t>(i)) return false;
  return true;
}

// One new token per row, all rows at once; shorter rows are masked.
at::Tensor decode_step(const at::Tensor& q_thd, const DecoderInput& input, size_t layer, int64_t window) {
  const auto& cache = *input.cache;
  std::vector<int64_t> lengths;
  for (const auto row : input.rows) lengths.push_back(cache.lengths[row] + 1);
  const auto [shortest, longest] = std::minmax_element(lengths.begin(), lengths.end());
  auto pick = [&](const at::Tensor& all) {
    const auto used = all.narrow(2, 0, *longest);
    if (is_iota(input.rows)) return used.narrow(0, 0, static_cast<int64_t>(input.rows.size()));
    return used.index_select(0, at::tensor(input.rows, at::kLong).to(all.device()));
  };
  std::optional<at::Tensor> mask;
  if (*shortest != *longest || (window && *longest > window)) {
    const auto length = at::tensor(lengths, at::kLong).to(q_thd.device()).unsqueeze(1);
    const auto position = at::arange(*longest, length.options()).unsqueeze(0);
    auto seen = position.lt(length);
    if (window) seen = seen.logical_and(position.ge(length - window));
    mask = seen.unsqueeze(1).unsqueeze(1);
  }
  // With one query each, the heads that share a key head are its queries: several times faster than repeating keys.
  const auto k = pick(cache.keys[layer]), v = pick(cache.values[layer]);
  const auto q = q_thd.reshape({q_thd.size(0), k.size(1), -1, q_thd.size(2)});
  return attend(q, k, v, mask, false).reshape({q_thd.size(0), -1});
}

}  // namespace

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

at::Tensor cached_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                            const DecoderInput& input, size_t layer, int64_t window) {
  if (input.cache_rows_n.defined()) return step_attention(q_thd, k_thd, v_thd, input, layer, window);
  auto& cache = *input.cache;
  int64_t begin = 0, longest = 0;
  for (size_t i = 0; i < input.rows.size(); ++i) {
    const int64_t n = input.lengths[i], row = input.rows[i];
    expect_room(cache, row, n);
    append(cache, layer, row, k_thd.narrow(0, begin, n), v_thd.narrow(0, begin, n));
    begin += n, longest = std::max(longest, n);
  }
  if (longest == 1) return decode_step(q_thd, input, layer, window);
  std::vector<at::Tensor> outputs;
  begin = 0;
  for (size_t i = 0; i < input.rows.size(); ++i) {
    const int64_t n = input.lengths[i], row = input.rows[i], past = cache.lengths[row];
    auto seen = [&](const at::Tensor& all) { return all.narrow(0, row, 1).narrow(2, 0, past + n); };
    if (!window && (fits_float_attention(q_thd) || fits_block_attention(q_thd))) {
      const auto over = fits_float_attention(q_thd) ? float_attention_over : block_attention_over;
      outputs.push_back(over(q_thd.narrow(0, begin, n), seen(cache.keys[layer])[0], seen(cache.values[layer])[0]));
      begin += n;
      continue;
    }
    std::optional<at::Tensor> mask;
    if (past || (window && n > window)) mask = causal_mask(n, past + n, window, q_thd.device());
    outputs.push_back(as_rows(attend(as_batch(q_thd.narrow(0, begin, n), 1), seen(cache.keys[layer]),
                                     seen(cache.values[layer]), mask, !mask)));
    begin += n;
  }
  return at::cat(outputs);
}

void expect_room(const KvCache& cache, int64_t row, int64_t tokens) {
  const int64_t held = cache.lengths[static_cast<size_t>(row)];
  if (held + tokens > cache.capacity)
    fail(ErrorKind::internal, fmt::format("KV cache row {} holds {} tokens and got {} more; its capacity is {}", row,
                                          held, tokens, cache.capacity));
}

KvCache make_kv_cache(int64_t layers, int64_t rows, int64_t kv_heads, int64_t capacity, int64_t head_size,
                      at::TensorOptions options) {
  KvCache cache;
  for (int64_t i = 0; i < layers; ++i) {
    cache.keys.push_back(at::zeros({rows, kv_heads, capacity, head_size}, options));
    cache.values.push_back(at::zeros({rows, kv_heads, capacity, head_size}, options));
  }
  cache.lengths.assign(static_cast<size_t>(rows), 0);
  cache.capacity = capacity;
  return cache;
}

}  // namespace antiphon::nn
