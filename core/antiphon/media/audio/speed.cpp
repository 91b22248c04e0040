#if ANTIPHON_FFMPEG
#include <antiphon/media/audio/speed.h>

#include <antiphon/media/audio/resampler.h>

#include <algorithm>

namespace antiphon::media {

Audio change_speed(const Audio& audio, double rate, const MediaLimits& limits) {
  constexpr size_t kBlock = 1 << 20;
  Resampler resampler(audio.sample_rate, limits);
  AVFrame frame{};
  frame.format = AV_SAMPLE_FMT_FLT;
  frame.sample_rate = static_cast<int>(rate * static_cast<double>(audio.sample_rate));
  frame.ch_layout = AV_CHANNEL_LAYOUT_MONO;
  Audio out{audio.sample_rate, {}};
  for (size_t at = 0; at < audio.samples.size(); at += kBlock) {
    auto* samples = reinterpret_cast<uint8_t*>(const_cast<float*>(audio.samples.data() + at));
    frame.nb_samples = static_cast<int>(std::min(kBlock, audio.samples.size() - at));
    frame.extended_data = &samples;
    resampler.add(frame);
  }
  out.samples = resampler.finish();
  return out;
}

}  // namespace antiphon::media
#endif
