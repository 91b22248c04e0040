// Whether the processes of a run still get on.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include <launch/children.h>

namespace antiphon::apps {

class StallWatch {
 public:
  using Clock = std::chrono::steady_clock;
  // A run has stalled if no process has done anything for `seconds`, or ten times as long until its first step is done
  // (weights are read, features computed), or as long as ten of its steps take.
  explicit StallWatch(double seconds) : seconds_(seconds) {}
  // Empty: it gets on. Else one line for each process, those first that the others wait for.
  std::vector<std::string> look(const Children& children);
  int64_t step() const { return step_; }

 private:
  double seconds_, longest_step_ = 0;
  uint64_t beats_ = 0;
  int64_t step_ = 0, first_step_ = -1;
  Clock::time_point last_beat_ = Clock::now(), last_step_ = Clock::now();
};

}  // namespace antiphon::apps
