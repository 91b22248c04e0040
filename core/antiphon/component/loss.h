// A loss over supervised positions.
#pragma once
#include <antiphon/component/kind.h>
#include <antiphon/component/module.h>

namespace antiphon {

struct LossInput {
  at::Tensor hidden_nd;       // [n, hidden_size], supervised positions only
  at::Tensor head_weight_vd;  // [vocab_size, hidden_size]
  at::Tensor labels_n;        // [n] int64
  double normalizer = 1;      // supervised tokens of the whole global batch
};

struct LossOutput {
  at::Tensor loss;          // scalar float32: sum over positions / normalizer; carries the gradient
  at::Tensor token_loss_n;  // [n] float32, detached: the loss of each position
};

class Loss {
 public:
  virtual ~Loss() = default;
  virtual LossOutput forward(const LossInput& input) = 0;
};

template <>
struct KindOf<Loss> : Kind<> {
  static constexpr const char* name = "loss";
};

}  // namespace antiphon
