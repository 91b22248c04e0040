// Sound from a capture device, as it comes. In a build without FFmpeg the constructor throws Error(config).
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace antiphon::media {

class Microphone {
 public:
  // `device`: FORMAT:NAME of FFmpeg's input devices, "alsa:default", "pulse:default", or a filter "lavfi:sine". Mono
  // samples in [-1, 1] at `sample_rate` Hz are taken from now on by a thread of its own, so that none is lost while the
  // caller works. Error(config) where the device cannot be opened.
  Microphone(const std::string& device, int64_t sample_rate);
  ~Microphone();
  // What has come since the last call; waits at most so long for something. Empty: nothing yet, or ended().
  std::vector<float> read(std::chrono::milliseconds wait);
  // The device gives no more and all was read.
  bool ended() const;

 private:
  struct Capture;
  std::unique_ptr<Capture> capture_;
};

}  // namespace antiphon::media
