#include <antiphon/train/schedule.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace antiphon::train {
namespace {

// From 1 at 0 to 0 at 1.
double fall(const std::string& shape, double done, double power) {
  if (shape == "linear") return 1 - done;
  if (shape == "polynomial") return std::pow(1 - done, power);
  if (shape == "one_minus_sqrt") return 1 - std::sqrt(done);
  return 0.5 * (1 + std::cos(std::numbers::pi * done));
}

bool has_no_end(const std::string& name) { return name == "inverse_sqrt" || name == "noam"; }

// The roots fall for as long as a run takes.
double root(const ScheduleOptions& schedule, int64_t step) {
  const int64_t peak =
      schedule.name == "noam" ? std::max<int64_t>(1, schedule.warmup_steps) : schedule.warmup_steps + 1;
  const double ratio = static_cast<double>(peak) / static_cast<double>(step - schedule.hold_steps + 1);
  return std::clamp(std::sqrt(ratio), schedule.min_ratio, 1.0);
}

}  // namespace

double lr_ratio(const ScheduleOptions& schedule, int64_t step, int64_t steps) {
  if (step < schedule.warmup_steps) return static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps);
  int64_t begin = schedule.warmup_steps + schedule.hold_steps;
  if (schedule.name == "constant" || step < begin) return 1.0;
  if (has_no_end(schedule.name)) return root(schedule, step);
  const bool wsd = schedule.name == "wsd";
  const int64_t end = steps - schedule.constant_steps;
  if (wsd) begin = std::max(begin, end - schedule.decay_steps);
  const double span = static_cast<double>(std::max<int64_t>(1, end - begin));
  const double done = std::clamp(static_cast<double>(step - begin) / span, 0.0, 1.0);
  return schedule.min_ratio +
         (1 - schedule.min_ratio) * fall(wsd ? schedule.decay : schedule.name, done, schedule.power);
}

void check_schedule(const ScheduleOptions& schedule, config::Problems& problems) {
  const auto& name = schedule.name;
  const auto refuse = [&](bool given, bool used, const char* key, const char* users) {
    if (given && !used)
      problems.add({}, fmt::format("train.schedule.{} has no effect with train.schedule.name = \"{}\"", key, name),
                   fmt::format("leave it out, or use {}", users));
  };
  const bool ends = name != "constant" && !has_no_end(name);
  refuse(schedule.power != ScheduleOptions().power, name == "polynomial", "power", "polynomial");
  refuse(schedule.decay_steps != 0, name == "wsd", "decay_steps", "wsd");
  refuse(schedule.decay != ScheduleOptions().decay, name == "wsd", "decay", "wsd");
  refuse(schedule.hold_steps != 0, name != "constant" && name != "wsd", "hold_steps",
         "cosine, linear, polynomial, inverse_sqrt or noam");
  refuse(schedule.constant_steps != 0, ends, "constant_steps", "cosine, linear, polynomial or wsd");
  if (name == "wsd" && schedule.decay_steps == 0)
    problems.add({}, "train.schedule.name = \"wsd\" needs train.schedule.decay_steps, and it is 0",
                 "give the steps of the fall at the end, e.g. a tenth of train.steps");
}

}  // namespace antiphon::train
