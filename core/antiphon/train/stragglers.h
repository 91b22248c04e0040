// Processes that are slower than the others, step after step: train.straggler_ratio. Source of the idea: NeMo's and
// Megatron-LM's straggler detection (megatron/core/utils.py, StragglerDetector).
#pragma once
#include <map>
#include <string>
#include <vector>

#include <antiphon/train/agreement.h>

namespace antiphon::train {

// Times in seconds.
class Stragglers {
 public:
  static constexpr int64_t kSteps = 20;

  // `ratio` to the median, above 1; 0: nothing is looked for.
  explicit Stragglers(double ratio) : ratio_(ratio) {}

  struct Found {
    int rank = 0;
    double seconds = 0, median = 0;  // of a step, in the mean of the last kSteps
  };
  // Counts a step, of all processes in the order of ranks. Gives those that have now been slower than `ratio` times the
  // median for kSteps steps in a row, each once. The median is that of the processes that compute the same layers, the
  // lower one of the two in the middle; one that is alone with its layers is not judged.
  std::vector<Found> add(const std::vector<StepWork>& work);

 private:
  struct Streak {
    int64_t steps = 0;
    double seconds = 0, medians = 0;  // sums over these steps
    bool told = false;
  };
  double ratio_;
  std::map<int, Streak> streaks_;
};

// "process 3 on node-7 is slower …", with what to do.
std::string described(const Stragglers::Found& found, const std::string& host);

}  // namespace antiphon::train
