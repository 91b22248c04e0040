// The processes of one attempt at a launched run.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <antiphon/base/beacon.h>

namespace antiphon::apps {

inline constexpr int kMostProcesses = 4096;  // that are started on one machine

// What is started, and where.
struct LaunchPlan {
  std::vector<std::string> words;  // after the program's name
  int processes = 1;               // on this machine
  int nodes = 1, node = 0;         // machines, and the number of this one
  std::string address = "127.0.0.1";
  int port = 0;  // 0: a free one
  double stall_seconds = 60;
  std::string said;  // empty: what they write is shown; else it goes into files, said_by() of each
};

// One that has ended.
struct Ended {
  int rank = 0;
  int code = 0;       // exit code
  int signal = 0;     // or the signal that ended it
  bool left = false;  // of its own accord: the others ended for it
};

// Whether it ended as a run may: trained, or asked to stop.
bool orderly(const Ended& ended);
// Of those that did not end well the cause: not one that only lost the others. nullptr: all ended well.
const Ended* cause_of(const std::vector<Ended>& ended);

// The file of LaunchPlan::said that process `rank` writes into.
std::string said_by(const std::string& said, int rank);

// All of them die with this one.
class Children {
 public:
  // From then on SIGCHLD has its default effect here. Error(memory) if there is no room for a process.
  explicit Children(const LaunchPlan& plan);
  // Kills those that are left, and waits for them.
  ~Children();
  Children(const Children&) = delete;

  bool running() const { return left_ > 0; }
  void pass_on(int signal);
  // The same if somebody else asked one of them, which must not count as asking that one again.
  void ask_others(int signal);
  // What these end with is not a reason for anything, so it is not in ended().
  void kill_all();
  // If one is lost: those that are left have a second from the first call on to say what they know, and longer while
  // they are `busy`; then they are killed.
  void let_say_why(bool busy = false);
  // Shows lines that were written, and takes in those that have ended.
  void look();
  const std::vector<Ended>& ended() const { return ended_; }
  const beacon::Page& page(int index) const { return pages_[index]; }
  int first_rank() const { return first_rank_; }
  int count() const { return static_cast<int>(children_.size()); }
  pid_t pid(int index) const { return children_[static_cast<size_t>(index)].pid; }  // -1: it has ended
  // Whether one is writing the checkpoint with which it ends, and waits for none of the others.
  bool writes_last() const;
  // "stopped", if it is.
  std::string state(int index) const;
  // File numbers that become readable when there is something to show.
  std::vector<int> outputs() const;

 private:
  struct Child {
    pid_t pid = -1;
    int output = -1;   // of all but the first
    std::string line;  // not ended yet
  };
  void start(const LaunchPlan& plan, int index, int listener, int port);
  void note_end(int index, int status);
  void show(int index);

  int first_rank_ = 0, left_ = 0, file_ = -1;
  bool killed_ = false;
  std::optional<std::chrono::steady_clock::time_point> lost_;
  beacon::Page* pages_ = nullptr;
  std::vector<Child> children_;
  std::vector<Ended> ended_;
};

}  // namespace antiphon::apps
