// A loss of tokens that is more than their negative log-probability: with label smoothing (Szegedy et al. 2016; as
// torch.nn.functional.cross_entropy has it) and a penalty of the normalizer (z-loss; Chowdhery et al. 2022, PaLM).
//   loss = (1 - label_smoothing) · (lse - z_label) + label_smoothing · (lse - mean(z)) + z_loss · lse²,
// z the logits of the whole vocabulary, lse the logarithm of the sum of their exponentials.
#pragma once

namespace antiphon::nn {

struct Smoothing {
  double label_smoothing = 0, z_loss = 0;
  bool any() const { return label_smoothing > 0 || z_loss > 0; }

  // While an object of this class lives, token_scores() of this thread gives minus that loss, and its gradient.
  class Scope {
   public:
    explicit Scope(const Smoothing& smoothing);
    ~Scope();
    Scope(const Scope&) = delete;

   private:
    const Smoothing* before_;
  };
  static Smoothing now();
};

}  // namespace antiphon::nn
