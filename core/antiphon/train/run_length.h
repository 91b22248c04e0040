// How many optimizer steps a run takes.
#pragma once
#include <algorithm>
#include <cstdint>

#include <antiphon/train/options.h>

namespace antiphon::train {

// How long a run has taken and was planned to take; kept with its checkpoints. Times in seconds.
struct RunClock {
  double elapsed = 0, first_step = 0, limit = 0;
  int64_t planned_steps = 0, max_steps = 0;
};

// train.steps, or with train.max_minutes as many of them as the first steps show to fit. That number is found once and
// kept with the checkpoints, and the learning rate follows from it alone: after that the clock decides only whether the
// run stops early.
class RunLength {
 public:
  explicit RunLength(const TrainOptions& options)
      : max_steps_(options.steps),
        min_steps_(std::min(options.min_steps, options.steps)),
        limit_seconds_(options.max_minutes * 60) {}

  // Counts the time of a step, the `taken`-th. True if it made the number of steps known; a checkpoint must then hold
  // it.
  bool add(int64_t taken, double seconds);
  // Of the whole run. Before they are known: train.steps.
  int64_t steps() const { return planned_ > 0 ? planned_ : max_steps_; }
  bool done(int64_t taken) const {
    return taken >= steps() || (limit_seconds_ > 0 && elapsed_seconds_ >= limit_seconds_);
  }
  // The number is known, and below train.min_steps: what they would learn is not worth the time.
  bool too_few() const { return planned_ > 0 && planned_ < min_steps_; }
  // The last step alone took longer than the whole run may.
  bool outlasted() const { return limit_seconds_ > 0 && last_seconds_ > limit_seconds_; }
  double elapsed_seconds() const { return elapsed_seconds_; }
  double last_seconds() const { return last_seconds_; }
  double limit_seconds() const { return limit_seconds_; }
  double seconds_left(int64_t taken) const;
  // Without the first step, which prepares what later ones reuse.
  double seconds_per_step(int64_t taken) const;
  // A train.max_minutes into which train.min_steps would fit, with a tenth to spare.
  int64_t sufficient_minutes(int64_t taken) const;

  RunClock state() const;
  // What state() gave. If train.steps or train.max_minutes has changed since, the steps are planned anew.
  void restore(const RunClock& state);

 private:
  bool measured(int64_t taken) const;
  int64_t max_steps_, min_steps_, planned_ = 0;
  double limit_seconds_, elapsed_seconds_ = 0, first_seconds_ = 0, last_seconds_ = 0;
};

}  // namespace antiphon::train
