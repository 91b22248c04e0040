// What the processes of a run must agree on at each step, because each sees only its own data, clock and signals. A
// process that decided by itself would leave the others waiting. Between steps two more things are agreed on, by the
// same group: whether a held-out loss is the best (Trainer::is_best), and that held-out losses end early
// (run/held_out.cpp).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <antiphon/component/objective.h>
#include <antiphon/data/loader.h>
#include <antiphon/train/step_metrics.h>

namespace antiphon::comm {
class Group;
}

namespace antiphon::train {

// What was drawn for a step, before its first forward pass. Agreed: the sums.
struct DrawnRecord {
  StepTotals totals;
  int64_t tokens = 0;                    // of samples, media included
  int64_t bad = 0;                       // samples skipped so far
  std::map<std::string, int64_t> items;  // media of each stream; 0: it does not run
  int64_t content = 0;  // a hash of tokens and labels: those who compute a batch together have the same
  // Not 0: no batch could be drawn, because of this signal or (kNoData) another reason; the step does not take place.
  int64_t stop = 0;  // agreed: the largest
};
inline constexpr int kTimeIsUp = 1 << 10;    // above all signals: train.stop_after_minutes have passed
inline constexpr int64_t kNoData = 1 << 20;  // above all signals

// What a step gave, before its update.
struct ComputedRecord {
  double loss = 0;                   // agreed: the sum
  bool finite = true;                // of the loss and of the gradient; agreed: whether all are
  StepMetrics metrics;               // of the objective; agreed: the sums
  std::vector<int> not_finite = {};  // agreed: the processes whose own loss is not finite
};

// What one process did in a step.
struct StepWork {
  double seconds = 0;  // without those in which it waited for other processes
  int stage = 0;       // of a pipeline
  int64_t memory = 0;  // bytes that tensors took at most beside what there was before, if they are counted (--profile)
  int64_t held = 0;    // bytes of the GPU that are held for tensors at most so far, or that are resident
};

// After its update. A process on its own looks at signals while it waits for data, too.
struct EndedRecord {
  int stop = 0;                     // number of the signal that asks for an end, or kTimeIsUp; agreed: the largest
  double seconds = 0;               // that the step took; agreed: the longest
  data::LoaderState rows;           // of the process; agreed: all, in order
  std::vector<StepWork> work = {};  // of the process, its stage left open; agreed: of each, in the order of ranks
};

class Agreement {
 public:
  virtual ~Agreement() = default;
  virtual DrawnRecord agree(const DrawnRecord& own) = 0;
  virtual ComputedRecord agree(const ComputedRecord& own) = 0;
  virtual EndedRecord agree(const EndedRecord& own) = 0;
  virtual comm::Group* group() const { return nullptr; }  // of the processes, if there are several
};

// One process agrees with itself.
class Alone : public Agreement {
 public:
  DrawnRecord agree(const DrawnRecord& own) override { return own; }
  ComputedRecord agree(const ComputedRecord& own) override { return own; }
  EndedRecord agree(const EndedRecord& own) override { return own; }
};

}  // namespace antiphon::train
