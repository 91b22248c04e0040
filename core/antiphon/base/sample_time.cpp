#include <antiphon/base/sample_time.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

namespace antiphon {
namespace {

thread_local const SampleTime* time_now = nullptr;

}  // namespace

SampleTime::SampleTime(std::chrono::milliseconds most) : most_(most), end_(std::chrono::steady_clock::now() + most) {
  if (!time_now) time_now = this;
}

SampleTime::~SampleTime() {
  if (time_now == this) time_now = nullptr;
}

void SampleTime::check() {
  if (!time_now || std::chrono::steady_clock::now() < time_now->end_) return;
  fail(ErrorKind::data,
       fmt::format("preparing the sample took longer than the {} s that one sample may take",
                   std::chrono::duration<double>(time_now->most_).count()),
       "divide it into several samples, of fewer media or turns");
}

}  // namespace antiphon
