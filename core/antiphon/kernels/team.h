// The threads of a decoding step. Its products take tens of microseconds each, and the work between them as much again:
// OpenMP's threads, whose waiting is bounded for the sake of other processes (early/settings.cpp), would fall asleep in
// each pause and have to be woken up. These look for longer, and offer their processor to others while they do.
#pragma once
#include <cstdint>
#include <functional>

namespace antiphon::kernels {

// While it lives, share_rows() of this thread uses the team: as many threads as OpenMP has. Does nothing if that is
// one, inside another scope, while another thread has one, or if it is not wanted.
class TeamScope {
 public:
  explicit TeamScope(bool wanted = true);
  ~TeamScope();
  TeamScope(const TeamScope&) = delete;

 private:
  bool mine_ = false;
};

// Calls body(0) … body(parts - 1), each once and on threads of its own, in a scope of this thread; rethrows what one of
// them throws. `parts`: at most the number of threads. Returns false, and calls nothing, if there is no scope.
bool run_by_team(int64_t parts, const std::function<void(int64_t part)>& body);
// Whether this thread is in such a call, whose work is not divided again.
bool in_part_of_team();

}  // namespace antiphon::kernels
