// In which order the stages of a pipeline compute the batches of a step. A schedule is data, made by a pure function,
// and simulated() proves that it can be carried out.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace antiphon::parallel {

// What a stage does once. `weights`: what remains of the backward pass if it only passes on the gradient of its input
// (Qi et al. 2023, Zero Bubble Pipeline Parallelism).
struct Pass {
  enum class Kind { forward, backward, weights };
  Kind kind = Kind::forward;
  int batch = 0, chunk = 0;  // which batch of the step, and which chunk of the stage's blocks
  bool operator==(const Pass&) const = default;
};

// Block ranges are dealt out in turn: chunk c of stage p is range c · stages + p of stages · chunks.
struct Pipeline {
  int stages = 1, chunks = 1, batches = 1;
};

enum class ScheduleKind {
  gpipe,        // all forward passes, then all backward passes (Huang et al. 2019)
  one_f_one_b,  // at most stages - p batches between their passes in stage p (Narayanan et al. 2019)
  interleaved,  // the same of several chunks a stage (Narayanan et al. 2021); a multiple of `stages` batches
  zero_bubble   // one_f_one_b with passes `weights`, which fill what would be waiting: ZB-H1 of Qi et al. 2023
};
// "gpipe", "1f1b", "interleaved", "zero_bubble".
ScheduleKind schedule_of(const std::string& name);

// What one stage does. Of one stage each batch forward and backward, one after the other.
std::vector<Pass> passes_of(ScheduleKind kind, const Pipeline& pipeline, int stage);

struct Simulation {
  std::string failure;             // empty: each pass is done once, in an order that the stages can keep to
  int64_t time = 0;                // until the last has ended; forward, backward and weights take 1 each, a backward
                                   // pass that is not followed by `weights` takes 2
  int64_t idle = 0;                // of all stages together, until then
  std::vector<int> most_waiting;   // of each stage: forward passes whose backward pass has not ended
  std::vector<int> most_deferred;  // and backward passes whose weights have not
};
// Of all stages' passes. What a stage sends can be one ahead of what the receiver has taken; a second one waits, and
// everything is received in the order in which it is sent.
Simulation simulated(const std::vector<std::vector<Pass>>& stages, const Pipeline& pipeline);

}  // namespace antiphon::parallel
