// Whether a forward pass is one of training: only then dropout drops values, and batch normalization takes the
// statistics of its batch and moves the running ones.
#pragma once

namespace antiphon {

// Passes of this thread are of training while an object of this class lives, and gradients are on: an evaluation in the
// middle of a training run needs no more than to switch these off.
class TrainingPass {
 public:
  TrainingPass();
  ~TrainingPass();
  TrainingPass(const TrainingPass&) = delete;
  TrainingPass& operator=(const TrainingPass&) = delete;

  static bool now();
};

}  // namespace antiphon
