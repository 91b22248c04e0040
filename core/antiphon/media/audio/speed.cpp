#if ANTIPHON_FFMPEG
#include <antiphon/media/audio/speed.h>

#include <antiphon/media/audio/resampler.h>

#include <algorithm>

namespace antiphon::media {
namespace {

Audio converted(const std::vector<float>& from, int64_t from_rate, int64_t to_rate, const MediaLimits& limits) {
  constexpr size_t kBlock = 1 << 20;
  Resampler resampler(to_rate, limits);
  AVFrame frame{};
  frame.format = AV_SAMPLE_FMT_FLT;
  frame.sample_rate = static_cast<int>(from_rate);
  frame.ch_layout = AV_CHANNEL_LAYOUT_MONO;
  for (size_t at = 0; at < from.size(); at += kBlock) {
    auto* samples = reinterpret_cast<uint8_t*>(const_cast<float*>(from.data() + at));
    frame.nb_samples = static_cast<int>(std::min(kBlock, from.size() - at));
    frame.extended_data = &samples;
    resampler.add(frame);
  }
  return {to_rate, resampler.finish()};
}

}  // namespace

Audio change_speed(const Audio& audio, double rate, const MediaLimits& limits) {
  const auto played = static_cast<int64_t>(rate * static_cast<double>(audio.sample_rate));
  return converted(audio.samples, played, audio.sample_rate, limits);
}

Audio resample(const Audio& audio, int64_t sample_rate, const MediaLimits& limits) {
  return converted(audio.samples, audio.sample_rate, sample_rate, limits);
}

}  // namespace antiphon::media
#endif
