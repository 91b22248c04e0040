// Where a process is, in memory that the process which started it reads: also when this one is stopped, hangs or is
// gone.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace antiphon::beacon {

inline constexpr const char* kVariable = "ANTIPHON_BEACON";  // "FILE:INDEX": number of an open file, and of the page

// Texts end with a zero and may be cut; they are read while they are written, so nothing depends on them.
struct Page {
  std::atomic<uint64_t> beats{0};  // rises with every change
  std::atomic<int64_t> step{0};    // the one that is computed
  std::atomic<uint32_t> waits{0};  // for other processes
  std::atomic<uint32_t> slow{0};   // does what takes long without a sign: loads, writes
  char doing[64] = {};             // "computing"
  char operation[64] = {};         // what the others take part in
  char samples[384] = {};          // of the step
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// The page that the environment names, which does not name it any more then. Without one, or if it cannot be used, all
// of the following does nothing.
void open_from_environment();
void doing(std::string_view what);
void step(int64_t number, std::string_view samples);

// Within it the process waits for others.
class Waiting {
 public:
  explicit Waiting(std::string_view operation);
  ~Waiting();
  Waiting(const Waiting&) = delete;

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// Seconds that this process has waited for others so far, with or without a page.
double waited_seconds();

inline constexpr const char* kWritesLast = "writing a checkpoint";  // doing: of a run that ends

// Within it the process may take long without a sign.
class Slow {
 public:
  explicit Slow(std::string_view what);
  ~Slow();
  Slow(const Slow&) = delete;
};

}  // namespace antiphon::beacon
