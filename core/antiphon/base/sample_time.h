// How long one sample may take as a whole. Each medium and each rendering of its turns has a limit of its own, and a
// record may have thousands of them.
#pragma once
#include <chrono>

namespace antiphon {

// Far above what samples take: which of them are bad is not to depend on the machine.
inline constexpr std::chrono::minutes kSampleTime{10};

// Lives as long as a sample is prepared, on one thread. Within another one it does nothing: the time of that one holds.
class SampleTime {
 public:
  explicit SampleTime(std::chrono::milliseconds most = kSampleTime);
  ~SampleTime();
  SampleTime(const SampleTime&) = delete;
  // Error(data) if this thread prepares a sample whose time is over. What reads a medium, renders a conversation or
  // makes tokens of a turn calls it first.
  static void check();

 private:
  std::chrono::milliseconds most_;
  std::chrono::steady_clock::time_point end_;
};

}  // namespace antiphon
