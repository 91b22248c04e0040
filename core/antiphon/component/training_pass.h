// Whether a forward pass is a training pass: only then dropout drops values, and batch normalization uses the
// statistics of its batch and updates the running ones. It is said, not read off the gradient mode: a block that is
// computed again in the backward pass runs without gradients the first time, and rollouts run without gradients, too.
#pragma once
#include <cstdint>

namespace antiphon {

// Passes of this thread are training passes, or not, while an object of this class lives; the innermost one counts.
// Without one they are not.
class TrainingPass {
 public:
  // `again`: the pass repeats one that was, so that whatever counts passes does not count this one. `key`: what its
  // random numbers follow from (nn/keyed_dropout.h).
  explicit TrainingPass(bool training = true, bool again = false, uint64_t key = 0);
  ~TrainingPass();
  TrainingPass(const TrainingPass&) = delete;
  TrainingPass& operator=(const TrainingPass&) = delete;

  static bool now();
  static bool again();
  static uint64_t key();

 private:
  bool training_before_, again_before_;
  uint64_t key_before_;
};

}  // namespace antiphon
