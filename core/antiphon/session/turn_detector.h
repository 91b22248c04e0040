// Finds when somebody begins and stops speaking, with hysteresis, like Silero's VADIterator (silero-vad, utils_vad.py).
#pragma once
#include <functional>
#include <span>
#include <vector>

#include <antiphon/component/voice_activity.h>
#include <antiphon/session/options.h>

namespace antiphon::session {

enum class SpeechEvent {
  none,
  began,    // speech for min_speech
  paused,   // silence after it
  resumed,  // speech again, before the silence was long enough
  ended     // silence for end_silence
};

class TurnDetector {
 public:
  // The detector must outlive this object; its parameters are loaded. Error(config) if it needs another sample rate.
  TurnDetector(VoiceActivity& detector, const SessionOptions& options, int64_t sample_rate);

  // Called with each window of samples and what happened by its end.
  using OnWindow = std::function<void(std::span<const float> window, SpeechEvent event)>;
  // Any number of samples; those that do not fill a window wait for more.
  void feed(std::span<const float> samples, const OnWindow& on_window);
  int64_t window() const { return detector_.window(); }
  void reset();

 private:
  double probability(const float* begin);
  SpeechEvent event_of(double probability);
  VoiceActivity& detector_;
  double threshold_;
  int64_t speech_windows_, silence_windows_;  // that begin and end a turn
  bool speaking_ = false;
  int64_t run_ = 0;  // windows of speech before a turn, of silence within one
  at::Tensor state_;
  std::vector<float> waiting_;  // context, then what came since
};

}  // namespace antiphon::session
