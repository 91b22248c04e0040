// Learned keys and values before those of every sequence, in each layer of a decoder. Source: Li and Liang 2021
// (Prefix-Tuning).
#pragma once
#include <antiphon/nn/attention/attention.h>

#include <memory>
#include <vector>

namespace antiphon::nn {

struct TokenSlices;

// kv [layers, 2, tokens, kv_heads, head_size] -> those that stand before the heads that a process attends with, whose
// heads and tokens are divided so (token_slices.h): some heads of each part, repeated if contexts have fewer. The
// gradient of kv in each process is that of these.
at::Tensor own_heads(const at::Tensor& kv, const TokenSlices& slices);

// Of one forward pass, and the backward pass that follows it.
class Prefix {
 public:
  // kv [layers, 2, tokens, kv_heads, head_size]: keys, as they stand in a cache (turned already), and values; in the
  // dtype of the layers. Its gradient comes through begun().
  explicit Prefix(const at::Tensor& kv);
  int64_t tokens() const { return layers_.front().size(1); }

  // x as it is; layers [begin, end), which all of a pass are, must follow from what is given back. Their shares of the
  // gradient of `kv` are gathered on the way, so that what computes `kv` runs once in the backward pass, whether or not
  // blocks are computed again in it.
  at::Tensor begun(const at::Tensor& x_td, int64_t begin, int64_t end) const;

  // As packed_attention (attention.h) with `sight`: each query sees what stands before its sequence, too, unless that
  // is more than window - 1 tokens away.
  at::Tensor attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                       const std::vector<int64_t>& lengths, size_t layer, const Sight& sight,
                       const std::vector<TokenSpan>& media) const;

 private:
  struct Gathered;
  struct Begin;
  struct PutBefore;
  at::Tensor kv_;
  std::vector<at::Tensor> layers_;      // [2, tokens, kv_heads, head_size] each, without a gradient
  std::shared_ptr<Gathered> gathered_;  // nullptr: no gradient is wanted
};

}  // namespace antiphon::nn
