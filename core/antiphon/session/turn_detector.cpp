#include <antiphon/session/turn_detector.h>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <cmath>

namespace antiphon::session {
namespace {

constexpr double kHysteresis = 0.15;

int64_t windows_of(double seconds, const VoiceActivity& detector) {
  const double window = static_cast<double>(detector.window()) / static_cast<double>(detector.sample_rate());
  return std::max<int64_t>(1, std::llround(std::ceil(seconds / window - 1e-6)));
}

}  // namespace

TurnDetector::TurnDetector(VoiceActivity& detector, const SessionOptions& options, int64_t sample_rate)
    : detector_(detector),
      threshold_(options.threshold),
      speech_windows_(windows_of(options.min_speech, detector)),
      silence_windows_(windows_of(options.end_silence, detector)) {
  if (detector.sample_rate() != sample_rate)
    fail(
        ErrorKind::config,
        fmt::format("the voice activity detector hears {} Hz and the model {} Hz", detector.sample_rate(), sample_rate),
        "choose another one in [session.vad]");
  reset();
}

void TurnDetector::reset() {
  speaking_ = false, run_ = 0, state_ = at::Tensor();
  waiting_.assign(static_cast<size_t>(detector_.context()), 0.0F);
}

double TurnDetector::probability(const float* begin) {
  c10::InferenceMode inference;
  const auto x = at::from_blob(const_cast<float*>(begin), {1, detector_.context() + detector_.window()}, at::kFloat);
  return detector_.forward(x, state_).item<double>();
}

SpeechEvent TurnDetector::event_of(double probability) {
  if (!speaking_) {
    run_ = probability >= threshold_ ? run_ + 1 : 0;
    if (run_ < speech_windows_) return SpeechEvent::none;
    speaking_ = true, run_ = 0;
    return SpeechEvent::began;
  }
  if (probability >= threshold_) return std::exchange(run_, 0) > 0 ? SpeechEvent::resumed : SpeechEvent::none;
  if (run_ == 0 && probability >= threshold_ - kHysteresis) return SpeechEvent::none;
  if (++run_ == silence_windows_) {
    speaking_ = false, run_ = 0;
    return SpeechEvent::ended;
  }
  return run_ == 1 ? SpeechEvent::paused : SpeechEvent::none;
}

void TurnDetector::feed(std::span<const float> samples, const OnWindow& on_window) {
  waiting_.insert(waiting_.end(), samples.begin(), samples.end());
  const auto context = static_cast<size_t>(detector_.context()), window = static_cast<size_t>(detector_.window());
  size_t begin = 0;
  for (; begin + context + window <= waiting_.size(); begin += window) {
    const auto event = event_of(probability(waiting_.data() + begin));
    on_window({waiting_.data() + begin + context, window}, event);
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<long>(begin));
}

}  // namespace antiphon::session
