// The memory that the processes of an attempt take on the host.
#pragma once
#include <chrono>
#include <vector>

#include <launch/children.h>

namespace antiphon::apps {

// In bytes. Of one process its largest resident size. Of several the largest sizes together, which they need not have
// had at one time, so they take that at most; of what several hold (a file that all map) each counts its share, as the
// kernel says it (Pss), so that it counts once. If the kernel does not say it, it counts in each.
class Taken {
 public:
  explicit Taken(int processes) : largest_(static_cast<size_t>(processes)), own_(largest_) {}
  // Takes in what those that run have taken so far. Of several, whose shares take long to find out, at most four times
  // a second, and with `last`.
  void look(const Children& children, bool last = false);
  double most() const { return most_; }  // of all together, at most
  int where() const;                     // the number of the one that takes most
  double own(int process) const { return own_[static_cast<size_t>(process)]; }

 private:
  using Clock = std::chrono::steady_clock;
  std::vector<double> largest_, own_;  // resident sizes; without what is counted elsewhere
  double most_ = 0;
  bool grown_ = false;  // since the shares were looked at
  Clock::time_point next_ = Clock::now();
};

}  // namespace antiphon::apps
