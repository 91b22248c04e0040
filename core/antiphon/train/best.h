// Which measured steps were the best of a run, and whether it still improves.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <antiphon/train/options.h>

namespace antiphon::train {

// Of a measurement: answers that were written. Missing if a run writes none.
inline constexpr const char* kAnswers = "eval/answers";

struct Measured {
  int64_t step = 0;
  double value = 0;
};

// Kept with the checkpoints.
struct BestState {
  std::string metric = {};          // "min eval/held/loss"
  std::vector<Measured> kept = {};  // from the best on
  std::vector<Measured> best = {};  // the best of all, or none yet
  int64_t waited = 0;               // measurements since then
};

class Best {
 public:
  explicit Best(const TrainOptions& options);
  bool wanted() const { return keep_ > 0 || patience_ > 0; }
  // Of what was measured; not a number if a sample of the set had no finite loss. Error(config) if there is no such
  // metric.
  double value_in(const std::map<std::string, double>& measured) const;
  // Whether it is one that may come with answers, of which this measurement had none.
  bool waits_for_answers(const std::map<std::string, double>& measured) const;
  // True if the step's checkpoint is to be kept. A value that is not finite is never better.
  bool add(int64_t step, double value);
  // Its checkpoint could not be written.
  void drop(int64_t step);
  bool has_stopped() const { return patience_ > 0 && state_.waited >= patience_; }
  // "eval/held/loss 0.5 at step 40"; empty if nothing was measured.
  std::string describe() const;
  const BestState& state() const { return state_; }
  // Begins anew, with a warning, if the state is of another metric.
  void restore(const BestState& state);

 private:
  bool better(const Measured& left, const Measured& right) const;
  std::string metric_;
  bool largest_;
  int64_t keep_, patience_;
  BestState state_;
};

// Problems with keep_best, best_metric and patience.
void check_best(const TrainOptions& options, config::Problems& problems);

// Links or copies the checkpoint of a step into the folder `kept` of a run. What cannot be done is a warning.
void keep_checkpoint(int64_t step, const std::filesystem::path& run);

// Makes the folder `best` of a run hold the checkpoints of these steps and no others: links to, or copies of, what lies
// in `checkpoints`. What cannot be done is a warning.
void keep_checkpoints_of(const std::vector<Measured>& kept, const std::filesystem::path& run);

}  // namespace antiphon::train
