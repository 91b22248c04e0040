#include <antiphon/train/run_length.h>

#include <algorithm>
#include <cmath>

namespace antiphon::train {
namespace {

// Enough to tell the speed: three steps and 3 % of the time, or 10 % of the time if the steps are that slow.
constexpr int64_t kMeasuredSteps = 3;
constexpr double kMeasuredShare = 0.03, kSlowShare = 0.1;
constexpr double kSpare = 1.1;

}  // namespace

bool RunLength::measured(int64_t taken) const {
  return (taken >= kMeasuredSteps && elapsed_seconds_ >= kMeasuredShare * limit_seconds_) ||
         elapsed_seconds_ >= kSlowShare * limit_seconds_;
}

double RunLength::seconds_per_step(int64_t taken) const {
  if (taken < 2) return elapsed_seconds_;
  return (elapsed_seconds_ - first_seconds_) / static_cast<double>(taken - 1);
}

bool RunLength::add(int64_t taken, double seconds) {
  if (taken == 1) first_seconds_ = seconds;
  elapsed_seconds_ += seconds, last_seconds_ = seconds;
  if (limit_seconds_ <= 0 || planned_ > 0 || !measured(taken)) return false;
  const double fitting = std::max(0.0, limit_seconds_ - elapsed_seconds_) / std::max(seconds_per_step(taken), 1e-9);
  const auto left = static_cast<double>(std::max<int64_t>(0, max_steps_ - taken));
  planned_ = taken + static_cast<int64_t>(std::min(fitting, left));
  return true;
}

double RunLength::seconds_left(int64_t taken) const {
  const double by_steps = seconds_per_step(taken) * static_cast<double>(std::max<int64_t>(0, steps() - taken));
  return limit_seconds_ > 0 ? std::min(std::max(0.0, limit_seconds_ - elapsed_seconds_), by_steps) : by_steps;
}

int64_t RunLength::sufficient_minutes(int64_t taken) const {
  const double more = seconds_per_step(taken) * static_cast<double>(std::max<int64_t>(0, min_steps_ - taken));
  return static_cast<int64_t>(std::ceil(kSpare * (elapsed_seconds_ + more) / 60));
}

RunClock RunLength::state() const { return {elapsed_seconds_, first_seconds_, limit_seconds_, planned_, max_steps_}; }

void RunLength::restore(const RunClock& state) {
  elapsed_seconds_ = state.elapsed;
  first_seconds_ = state.first_step;
  const bool same = state.max_steps == max_steps_ && state.limit == limit_seconds_;
  planned_ = same ? state.planned_steps : 0;
}

}  // namespace antiphon::train
