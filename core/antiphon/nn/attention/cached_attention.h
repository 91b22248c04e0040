// Attention of new tokens over what a cache holds.
#pragma once
#include <antiphon/component/language_model.h>
#include <antiphon/kernels/for_rows.h>
#include <antiphon/nn/attention/attention.h>

namespace antiphon::nn {

// Before the first layer: blocks for the new tokens, and their slots on the device, if the input does not bring them.
// Error(internal) if none are free.
void place_tokens(DecoderInput& input);
// After the last layer: the rows have the new tokens.
void advance_rows(const DecoderInput& input);

// As packed_attention (attention.h), causal, after putting k and v into layer `layer` of the cache; every query also
// sees what its row held before. place_tokens() must have been called.
at::Tensor cached_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                            const DecoderInput& input, size_t layer, const Sight& sight = {});

// One new token for each row, on the CPU: its place in one layer, and its attention. `T` as in kernels/decode.h, the
// cache's element. The input must outlive it.
template <class T>
class NextTokens {
 public:
  NextTokens(const DecoderInput& input, size_t layer);
  T* key(int64_t i, int64_t kv_head) const { return keys_ + offset(i, kv_head); }
  T* value(int64_t i, int64_t kv_head) const { return values_ + offset(i, kv_head); }
  // q and y [rows, heads, head_size], which may be the same: each query, times `multiplier`, over its row's tokens, the
  // new one included, or the last `sight.window` of them.
  void attend(const T* q, int64_t heads, const Sight& sight, double multiplier, T* y) const;

 private:
  int64_t length(int64_t i) const { return input_.cache->length(input_.rows[static_cast<size_t>(i)]) + 1; }
  int64_t offset(int64_t i, int64_t kv_head) const;
  int64_t block_offset(int64_t block, int64_t kv_head) const {
    return (block * kv_heads_ + kv_head) * input_.cache->block_size() * head_size_;
  }
  const DecoderInput& input_;
  T *keys_, *values_;
  int64_t kv_heads_, head_size_;
};

}  // namespace antiphon::nn
