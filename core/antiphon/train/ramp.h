// How many batches a step has while they become more: train.ramp. Source: Megatron-LM,
// megatron/core/num_microbatches_calculator.py (rampup_batch_size, which counts samples where this counts steps).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <antiphon/train/options.h>

namespace antiphon::train {

class Ramp {
 public:
  // `all`: train.accumulate, the batches of a step at last.
  Ramp(const RampOptions& options, int64_t all) : options_(options), all_(all) {}
  bool any() const { return options_.from > 0 && options_.from < all_; }
  // Of the step after `taken` steps: from + by · (taken / every), and `all` at most.
  int64_t batches(int64_t taken) const;
  // "2 batches at first, 2 more every 100 steps, 8 from step 301 on".
  std::string describe() const;
  // For what decides over the order of samples; empty without a ramp.
  std::string settings() const;

 private:
  RampOptions options_;
  int64_t all_;
};

// The rows, of `all`, that the `batches` batches of the step after `taken` steps are of, rising. In any `all` steps in
// a row with as many batches each row has its turn as often. Of n equal ranges of the rows, if n divides `all` and
// `batches`, each has as many: processes that share the rows so always have as much to do.
std::vector<int64_t> rows_of_step(int64_t batches, int64_t all, int64_t taken);

// `unit`: what the batches of a step must be a multiple of.
void check_ramp(const TrainOptions& options, int64_t unit, config::Problems& problems);

}  // namespace antiphon::train
