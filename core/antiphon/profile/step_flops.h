// Floating point operations of each step without --profile: few steps are counted, operation by operation, and those
// between follow from their tokens, so that most steps cost nothing.
#pragma once
#include <cstdint>
#include <memory>

#include <antiphon/profile/flops.h>

namespace antiphon::profile {

// All calls come from the thread that computes. While something else records (trace.h) nothing is counted here.
class StepFlops {
 public:
  static constexpr int64_t kEvery = 100;  // each such step is counted, and before it the steps 1, 2, 4, 8 and so on

  StepFlops() = default;
  ~StepFlops();
  StepFlops(const StepFlops&) = delete;

  void begin_step();
  // The operations of the step that ends, of so many tokens: as they were counted, or as many a token as the last
  // counted step had. 0 before any was counted.
  double end_step(int64_t tokens);

  // What is computed within it is not the step's: a check of it. Scopes (TraceScope) that begin within it end there,
  // and hold all of it.
  class Pause {
   public:
    explicit Pause(StepFlops& flops);
    ~Pause();
    Pause(const Pause&) = delete;

   private:
    StepFlops& flops_;
    double before_;
  };

 private:
  std::unique_ptr<FlopCounter> counter_;  // of a step that is counted
  int64_t steps_ = 0;
  double left_out_ = 0;            // of that step: what was computed in pauses
  double flops_ = 0, tokens_ = 0;  // of the last counted step that had any
};

// Of the calling thread since trace::start(), and of threads without a scope: loader threads work beside the steps.
double recorded_flops();

}  // namespace antiphon::profile
