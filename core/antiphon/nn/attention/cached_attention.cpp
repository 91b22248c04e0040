#include <antiphon/nn/attention/cached_attention.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/kernels/decode.h>
#include <antiphon/kernels/ops.h>
#include <antiphon/nn/attention/attention.h>
#include <antiphon/nn/attention/block_attention.h>
#include <antiphon/nn/attention/capped_attention.h>
#include <antiphon/nn/attention/device_attention.h>
#include <antiphon/nn/attention/float_attention.h>
#include <antiphon/nn/attention/spans.h>

#include <algorithm>
#include <cmath>

namespace antiphon::nn {
namespace {

using kernels::data;

// Queries of one row after `past` tokens, by LibTorch: q [n, heads, d], k and v [kv_heads, past + n, d].
at::Tensor masked_attention(const at::Tensor& q_thd, const at::Tensor& k_htd, const at::Tensor& v_htd, int64_t window) {
  const int64_t n = q_thd.size(0), keys = k_htd.size(1);
  std::optional<at::Tensor> mask;
  if (keys > n || (window && n > window)) mask = causal_mask(n, keys, window, q_thd.device());
  const bool grouped = q_thd.size(1) != k_htd.size(0);
  const auto y = at::scaled_dot_product_attention(q_thd.transpose(0, 1).unsqueeze(0), k_htd.unsqueeze(0),
                                                  v_htd.unsqueeze(0), mask, 0.0, !mask, std::nullopt, grouped);
  return y[0].transpose(0, 1).reshape({n, -1});
}

// The same of one query: the heads that share a key head are its queries, several times faster than repeating keys.
at::Tensor attention_of_one(const at::Tensor& q_1hd, const at::Tensor& k_htd, const at::Tensor& v_htd, int64_t window) {
  const int64_t keys = k_htd.size(1), seen = window ? std::min(window, keys) : keys;
  const auto last = [&](const at::Tensor& x) { return x.narrow(1, keys - seen, seen).unsqueeze(0); };
  const auto q = q_1hd.reshape({1, k_htd.size(0), -1, q_1hd.size(2)});
  return at::scaled_dot_product_attention(q, last(k_htd), last(v_htd)).reshape({1, -1});
}

at::Tensor over_past(const at::Tensor& q_thd, const at::Tensor& k_htd, const at::Tensor& v_htd, int64_t window) {
  if (q_thd.size(0) == 1) return attention_of_one(q_thd, k_htd, v_htd, window);
  if (window) return masked_attention(q_thd, k_htd, v_htd, window);
  if (fits_float_attention(q_thd)) return float_attention_over(q_thd, k_htd, v_htd);
  if (fits_block_attention(q_thd)) return block_attention_over(q_thd, k_htd, v_htd);
  return masked_attention(q_thd, k_htd, v_htd, window);
}

// Each row on its own: over its new tokens, or if it held some before, over a copy of all.
at::Tensor row_by_row(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                      const DecoderInput& input, size_t layer, const Sight& sight) {
  const auto& cache = *input.cache;
  std::vector<at::Tensor> outputs;
  int64_t begin = 0;
  for (size_t i = 0; i < input.rows.size(); ++i) {
    const int64_t n = input.lengths[i], row = input.rows[i], past = cache.length(row);
    const auto seen = [&](const at::Tensor& new_thd, const at::Tensor& kept) {
      return past ? cache.gathered(kept, row, past + n) : new_thd.narrow(0, begin, n).transpose(0, 1);
    };
    const auto q = q_thd.narrow(0, begin, n), k = seen(k_thd, cache.keys(layer)), v = seen(v_thd, cache.values(layer));
    const auto spans = sight.media ? spans_within(input.media, begin, n) : std::vector<TokenSpan>();
    outputs.push_back(sight.score_cap > 0 ? capped_attention(q, k, v, sight, spans)
                                          : with_spans(over_past(q, k, v, sight.window), q, k, v, spans, sight.window));
    begin += n;
  }
  return at::cat(outputs);
}

template <class T>
at::Tensor next_tokens(const at::Tensor& q_thd, const DecoderInput& input, size_t layer, const Sight& sight) {
  const auto q = q_thd.contiguous(), y = at::empty_like(q);
  NextTokens<T>(input, layer).attend(data<T>(q), q.size(1), sight, 1, data<T>(y));
  return y.view({q.size(0), -1});
}

}  // namespace

void place_tokens(DecoderInput& input) {
  if (!input.cache || input.slots_n.defined()) return;
  auto& cache = *input.cache;
  std::vector<int64_t> slots;
  for (size_t i = 0; i < input.rows.size(); ++i) {
    const int64_t row = input.rows[i];
    cache.reserve(row, input.lengths[i]);
    for (int64_t j = 0; j < input.lengths[i]; ++j) slots.push_back(cache.slot(row, cache.length(row) + j));
  }
  input.slots_n = at::tensor(slots, at::kLong).to(cache.device());
}

void advance_rows(const DecoderInput& input) {
  if (!input.cache || input.blocks_nb.defined()) return;
  for (size_t i = 0; i < input.rows.size(); ++i) input.cache->advance(input.rows[i], input.lengths[i]);
}

at::Tensor cached_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                            const DecoderInput& input, size_t layer, const Sight& sight) {
  const auto& cache = *input.cache;
  if (cache.keys(layer).scalar_type() != k_thd.scalar_type())
    fail(ErrorKind::internal,
         fmt::format("the KV cache holds {} and the layer gives {}", c10::toString(cache.keys(layer).scalar_type()),
                     c10::toString(k_thd.scalar_type())));
  if (input.blocks_nb.defined()) return step_attention(q_thd, k_thd, v_thd, input, layer, sight);
  kernels::append_kv(k_thd, v_thd, cache.keys(layer), cache.values(layer), input.slots_n);
  const bool one_each = std::ranges::all_of(input.lengths, [](int64_t n) { return n == 1; });
  if (one_each && kernels::fits(q_thd) && !at::GradMode::is_enabled())
    return q_thd.scalar_type() == at::kFloat ? next_tokens<float>(q_thd, input, layer, sight)
                                             : next_tokens<uint16_t>(q_thd, input, layer, sight);
  return row_by_row(q_thd, k_thd, v_thd, input, layer, sight);
}

template <class T>
NextTokens<T>::NextTokens(const DecoderInput& input, size_t layer)
    : input_(input),
      keys_(data<T>(input.cache->keys(layer))),
      values_(data<T>(input.cache->values(layer))),
      kv_heads_(input.cache->keys(layer).size(1)),
      head_size_(input.cache->keys(layer).size(3)) {}

template <class T>
int64_t NextTokens<T>::offset(int64_t i, int64_t kv_head) const {
  const auto& cache = *input_.cache;
  const int64_t row = input_.rows[static_cast<size_t>(i)], position = cache.length(row);
  const int64_t block = cache.blocks(row)[static_cast<size_t>(position / cache.block_size())];
  return block_offset(block, kv_head) + position % cache.block_size() * head_size_;
}

template <class T>
void NextTokens<T>::attend(const T* q, int64_t heads, const Sight& sight, double multiplier, T* y) const {
  const auto& cache = *input_.cache;
  const int64_t size = head_size_, block_size = cache.block_size(), group = heads / kv_heads_,
                n = static_cast<int64_t>(input_.rows.size());
  const auto scale = static_cast<float>(multiplier / std::sqrt(static_cast<double>(size))),
             cap = static_cast<float>(sight.score_cap);
  int64_t longest = 1;
  for (int64_t i = 0; i < n; ++i) longest = std::max(longest, length(i));
  kernels::share_rows(n * heads, 2 * longest * size, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(longest + 2 * size));
    std::vector<const T*> k, v;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t i = task / heads, kv_head = task % heads / group, tokens = length(i);
      const int64_t first = sight.window ? std::max<int64_t>(0, tokens - sight.window) : 0;
      k.clear(), v.clear();
      const auto& blocks = cache.blocks(input_.rows[static_cast<size_t>(i)]);
      for (int64_t b = first / block_size; b * block_size < tokens; ++b) {
        const int64_t at = block_offset(blocks[static_cast<size_t>(b)], kv_head);
        k.push_back(keys_ + at), v.push_back(values_ + at);
      }
      kernels::decode_kernels<T>().attend(q + task * size,
                                          {k.data(), v.data(), block_size, first % block_size, tokens - first}, size,
                                          scale, cap, scratch.data(), y + task * size);
    }
  });
}

template class NextTokens<float>;
template class NextTokens<uint16_t>;

}  // namespace antiphon::nn
