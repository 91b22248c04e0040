// Dynamic loss scaling for gradients in fp16 (Micikevicius et al. 2018, section 3.2), as torch.amp.GradScaler
// (torch/amp/grad_scaler.py, aten/src/ATen/native/cuda/AmpKernels.cu).
#pragma once
#include <cstdint>

#include <antiphon/train/options.h>

namespace antiphon::train {

// The loss is multiplied by value() before the backward pass, and gradients by inverse() after it. Which steps have an
// overflow all processes agree on, so all have the same scale.
class LossScale {
 public:
  struct State {
    double scale = 0;
    int64_t good_steps = 0, overflows = 0;  // good ones since the scale last changed; overflows of the whole run
  };

  explicit LossScale(const LossScaleOptions& options);
  float value() const { return scale_; }
  float inverse() const { return static_cast<float>(1.0 / static_cast<double>(scale_)); }
  int64_t overflows() const { return overflows_; }
  // After each step: `overflow` if a gradient was not finite, for which the step was skipped. float32 as there: a scale
  // never grows beyond what that can hold.
  void update(bool overflow);
  State state() const { return {scale_, good_steps_, overflows_}; }
  void restore(const State& state);

 private:
  LossScaleOptions options_;
  float scale_;
  int64_t good_steps_ = 0, overflows_ = 0;
};

}  // namespace antiphon::train
