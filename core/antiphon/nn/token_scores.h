// Log-probabilities of given tokens under a head, in chunks: no [all positions, vocabulary] tensor is ever alive. The
// gradient of a chunk's hidden states is computed while its logits are at hand, as in Cut Cross-Entropy (Wijmans et al.
// 2024).
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/component/logit_rule.h>
#include <antiphon/component/token_table.h>

namespace antiphon::comm {
class Group;
}

namespace antiphon::nn {

struct TokenScoreOptions {
  int64_t chunk = 256;  // positions whose logits are alive at once
  // See ObjectiveNeeds. If untrue and the head is trained, the backward pass throws Error(internal); else it has no
  // effect.
  bool even_gradient = false;
  // Processes that have the head's rows of some tokens each, this one from `first_token` on; all have the same hidden
  // states, and get their part of the gradient of them. nullptr: the head has all tokens.
  comm::Group* group = nullptr;
  int64_t first_token = 0;
  LogitRule logits = {};  // what becomes of hidden · headᵀ
};

// hidden [n, hidden_size], head [vocab_size, hidden_size], labels [n] int64 -> log P(label) [n] float32, with a
// gradient for hidden and head if one is wanted. The head is cast to the dtype of `hidden`. Within a Smoothing::Scope
// (smoothing.h): minus the loss that it says. `added`: what logits get beside hidden · headᵀ, with a gradient, too.
at::Tensor token_scores(const at::Tensor& hidden_nd, const at::Tensor& head_vd, const at::Tensor& labels_n,
                        const TokenScoreOptions& options = {}, const AddedProducts& added = {});

}  // namespace antiphon::nn
