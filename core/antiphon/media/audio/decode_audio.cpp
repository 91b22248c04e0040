#if ANTIPHON_FFMPEG
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/media/audio/resampler.h>
#include <antiphon/media/audio/sound_length.h>
#include <antiphon/media/container.h>
#include <antiphon/media/decode.h>

#include <algorithm>
#include <cmath>

namespace antiphon::media {

Audio decode_audio(std::string_view bytes, int64_t sample_rate, std::string_view extension, const MediaLimits& limits,
                   std::optional<int64_t> channel) {
  check_wav_length(bytes);
  const Deadline deadline(limits);
  Resampler resampler(sample_rate, limits, channel);
  Container container(bytes, extension, limits, deadline);
  const AVStream* stream = container.best(AVMEDIA_TYPE_AUDIO);
  if (!stream) fail(ErrorKind::data, "the file holds no sound");
  container.select(stream, nullptr);
  Decoder decoder(*stream->codecpar, stream->time_base, "sound", limits, deadline);
  const auto length = container.sound_length(*stream);
  resampler.end_after(length);
  // FFmpeg would cut the end itself, and too much of it if everything is in one page.
  if (length && stream->codecpar->codec_id == AV_CODEC_ID_VORBIS)
    decoder.context().flags2 |= AV_CODEC_FLAG2_SKIP_MANUAL;
  const auto add = [&](const AVFrame& frame) { resampler.add(frame); };
  const Packet packet = make_packet();
  int64_t packets = 0, damaged = 0;
  while (container.read(*packet)) {
    if (packet->stream_index != stream->index) continue;
    ++packets;
    damaged += !decoder.decode(packet.get(), add);
  }
  damaged += !decoder.decode(nullptr, add);
  Audio audio{sample_rate, resampler.finish()};
  if (audio.samples.empty())
    fail(ErrorKind::data, damaged ? fmt::format("the sound is damaged: none of {} packets could be decoded", packets)
                                  : "the sound is empty");
  const auto is_number = [](float sample) { return std::isfinite(sample); };
  if (const auto odd = std::ranges::find_if_not(audio.samples, is_number);
      odd != audio.samples.end())  // of float files
    fail(ErrorKind::data,
         fmt::format("the sound is damaged: at {:.3f} s it has no finite number",
                     static_cast<double>(odd - audio.samples.begin()) / static_cast<double>(sample_rate)));
  if (damaged) log::debug(fmt::format("{} of {} packets of sound are damaged and left out", damaged, packets));
  return audio;
}

}  // namespace antiphon::media
#endif
