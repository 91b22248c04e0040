// Whether a forward pass is a training pass: only then dropout drops values, and batch normalization uses the
// statistics of its batch and updates the running ones.
#pragma once

namespace antiphon {

// Passes of this thread are training passes while an object of this class lives and gradients are on: an evaluation
// during a training run only has to switch gradients off.
class TrainingPass {
 public:
  TrainingPass();
  ~TrainingPass();
  TrainingPass(const TrainingPass&) = delete;
  TrainingPass& operator=(const TrainingPass&) = delete;

  static bool now();
};

}  // namespace antiphon
