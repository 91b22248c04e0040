#include <antiphon/train/stragglers.h>

#include <fmt/format.h>

#include <algorithm>

namespace antiphon::train {
namespace {

// Of the processes of each stage; 0 for one that is alone.
std::map<int, double> medians_of(const std::vector<StepWork>& work) {
  std::map<int, std::vector<double>> by_stage;
  for (const auto& one : work) by_stage[one.stage].push_back(one.seconds);
  std::map<int, double> medians;
  for (auto& [stage, seconds] : by_stage) {
    std::ranges::sort(seconds);
    medians[stage] = seconds.size() > 1 ? seconds[(seconds.size() - 1) / 2] : 0;
  }
  return medians;
}

}  // namespace

std::vector<Stragglers::Found> Stragglers::add(const std::vector<StepWork>& work) {
  std::vector<Found> found;
  if (ratio_ == 0) return found;
  const auto medians = medians_of(work);
  for (size_t rank = 0; rank < work.size(); ++rank) {
    auto& streak = streaks_[static_cast<int>(rank)];
    const double median = medians.at(work[rank].stage);
    if (median <= 0 || work[rank].seconds <= ratio_ * median) {
      streak = {.told = streak.told};
      continue;
    }
    ++streak.steps, streak.seconds += work[rank].seconds, streak.medians += median;
    if (streak.told || streak.steps < kSteps) continue;
    streak.told = true;
    found.push_back({static_cast<int>(rank), streak.seconds / kSteps, streak.medians / kSteps});
  }
  return found;
}

std::string described(const Stragglers::Found& found, const std::string& host) {
  return fmt::format(
      "process {} on {} is slower than the others: {:.3f} s of work a step over the last {}, without what it waited "
      "for "
      "them; the median is {:.3f} s\n  fix: look at what else runs there, at the files that it reads and at its "
      "clock rate; train.straggler_ratio sets when this is said, 0 turns it off",
      found.rank, host, found.seconds, Stragglers::kSteps, found.median);
}

}  // namespace antiphon::train
