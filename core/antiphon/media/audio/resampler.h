// Decoded audio of any layout to mono float samples. Internal: included by the .cpp files of this folder only, in
// builds with FFmpeg.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include <antiphon/media/audio/sound_length.h>
#include <antiphon/media/ffmpeg.h>

extern "C" {
#include <libavutil/channel_layout.h>
}

struct SwrContext;

namespace antiphon::media {

class Resampler {
 public:
  // `channel`: the one that is heard, from 0 on; nothing: the mean of all.
  Resampler(int64_t sample_rate, const MediaLimits& limits, std::optional<int64_t> channel = {});
  ~Resampler();
  // Anything after this much of the source is dropped.
  void end_after(std::optional<SoundLength> length) { length_ = length; }
  // Error(data) beyond the limits, or without such a channel. A frame whose rate or layout differs from the last one's
  // begins a new stretch.
  void add(const AVFrame& frame);
  // The samples available so far; the rest follows.
  std::vector<float> take();
  // The remaining samples; no `add` after it.
  std::vector<float> finish();

 private:
  struct FreeResampler {
    void operator()(SwrContext* context) const;
  };
  std::vector<double> weights(int channels) const;
  void begin(const AVFrame& frame);
  void end();
  void convert(const uint8_t** samples, int count, int64_t room);

  int64_t rate_;
  const MediaLimits& limits_;
  std::optional<int64_t> channel_;
  std::unique_ptr<SwrContext, FreeResampler> context_;
  int source_rate_ = 0, source_format_ = -1, source_channels_ = 0;
  int64_t taken_ = 0;         // samples of the current stretch
  int64_t taken_away_ = 0;    // samples that take() returned
  int64_t begun_at_ = 0;      // where the stretch starts among all samples
  int64_t source_taken_ = 0;  // of all stretches
  std::optional<SoundLength> length_;
  std::vector<float> out_;
};

}  // namespace antiphon::media
