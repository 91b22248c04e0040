#include <antiphon/kernels/team.h>

#include <ATen/Parallel.h>
#include <sched.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

namespace antiphon::kernels {
namespace {

#if defined(__x86_64__) || defined(__i386__)
void relax() { __builtin_ia32_pause(); }
#else
void relax() {}
#endif

constexpr int kLooksOfTurn = 32;  // less than a microsecond, between two offers of the processor
constexpr int kTurns = 400;       // some 200 us, then a thread sleeps: longer than any pause within a step

thread_local bool in_part = false;

// True as soon as done() is; false after `turns`.
template <class Done>
bool looked_for(int turns, const Done& done) {
  for (int turn = 0; turn < turns; ++turn) {
    for (int look = 0; look < kLooksOfTurn; ++look) {
      if (done()) return true;
      relax();
    }
    sched_yield();
  }
  return false;
}

class Team {
 public:
  // The threads live as long as the program: they may be in the middle of a wait when it ends.
  explicit Team(int threads) : helpers_(threads - 1) {
    try {
      for (int i = 1; i < threads; ++i) std::thread([this, i] { help(i); }).detach();
    } catch (
        const std::system_error&) {  // a limit of processes: those that run wait for ever, and OpenMP does the work
      usable_ = false;
    }
  }
  int threads() const { return helpers_ + 1; }
  bool usable() const { return usable_; }

  void run(int64_t parts, const std::function<void(int64_t)>& body) {
    body_ = &body, parts_ = parts, failure_ = nullptr;
    busy_.store(helpers_, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    call(0);
    while (!looked_for(kTurns, [&] { return busy_.load(std::memory_order_acquire) == 0; })) {
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void call(int64_t part) {
    if (part >= parts_) return;
    in_part = true;
    try {
      (*body_)(part);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
    in_part = false;
  }

  void help(int64_t part) {
    for (uint32_t seen = 0;; ++seen) {
      const auto is_new = [&] { return round_.load(std::memory_order_acquire) != seen; };
      if (!looked_for(kTurns, is_new)) round_.wait(seen, std::memory_order_acquire);
      call(part);
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  const int helpers_;
  bool usable_ = true;
  std::atomic<uint32_t> round_ = 0;
  std::atomic<int> busy_ = 0;
  const std::function<void(int64_t)>* body_ = nullptr;
  int64_t parts_ = 0;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

std::atomic<bool> taken = false;
thread_local Team* current = nullptr;  // of the scope of this thread

// The number of threads may be another one than before.
Team* team_of(int threads) {
  static Team* team = nullptr;
  if (!team || team->threads() != threads) team = new Team(threads);
  return team;
}

}  // namespace

TeamScope::TeamScope(bool wanted) {
  const int threads = at::get_num_threads();
  if (!wanted || current || threads < 2 || at::in_parallel_region() || taken.exchange(true, std::memory_order_acquire))
    return;
  auto* team = team_of(threads);
  mine_ = true, current = team->usable() ? team : nullptr;
}

TeamScope::~TeamScope() {
  if (!mine_) return;
  current = nullptr;
  taken.store(false, std::memory_order_release);
}

bool in_part_of_team() { return in_part; }

bool run_by_team(int64_t parts, const std::function<void(int64_t)>& body) {
  if (!current || in_part) return false;
  current->run(parts, body);
  return true;
}

}  // namespace antiphon::kernels
