// Live audio from a capture device. In a build without FFmpeg the constructor throws Error(config).
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace antiphon::media {

class Microphone {
 public:
  // `device`: FORMAT:NAME of FFmpeg's input devices, "alsa:default", "pulse:default", or a filter "lavfi:sine". Mono
  // samples in [-1, 1] at `sample_rate` Hz are captured from now on by a thread of its own, so that none is lost while
  // the caller works. Error(config) if the device cannot be opened.
  Microphone(const std::string& device, int64_t sample_rate);
  ~Microphone();
  // The samples since the last call; waits at most this long for some. Empty: nothing yet, or ended().
  std::vector<float> read(std::chrono::milliseconds wait);
  // The device gives no more and everything has been read.
  bool ended() const;

 private:
  struct Capture;
  std::unique_ptr<Capture> capture_;
};

}  // namespace antiphon::media
