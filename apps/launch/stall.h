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
  // A run has stalled if no process has done anything for `seconds`, or for as long as ten of its steps take, of which
  // the first (features are computed) counts until another is done; ten times as long until its first step is done and
  // while one of them loads, writes or measures.
  explicit StallWatch(double seconds) : seconds_(seconds) {}
  // Empty: it gets on. Else one line for each process, those first that the others wait for.
  std::vector<std::string> look(const Children& children);
  bool begun() const { return step_ > 0; }  // a step, by some process
  bool got_on() const { return got_on_; }   // by at least one step

 private:
  double seconds_, first_seconds_ = 0, longest_step_ = 0;  // of the first step, and of those after it
  uint64_t beats_ = 0;
  bool slow_ = false, got_on_ = false;  // something was, since the last step; some step was done
  int64_t step_ = 0, first_step_ = -1;
  Clock::time_point last_beat_ = Clock::now(), last_step_ = Clock::now();
};

}  // namespace antiphon::apps
