#if ANTIPHON_FFMPEG
#include <antiphon/base/error.h>
#include <antiphon/media/container.h>
#include <antiphon/media/decode.h>

namespace antiphon::media {

AudioShape audio_shape(std::string_view bytes, std::string_view extension, const MediaLimits& limits) {
  AudioShape shape;
  {
    const Deadline deadline(limits);
    const Container container(bytes, extension, limits, deadline);
    const AVStream* stream = container.best(AVMEDIA_TYPE_AUDIO);
    if (!stream) fail(ErrorKind::data, "the file holds no sound");
    shape.sample_rate = stream->codecpar->sample_rate, shape.channels = stream->codecpar->ch_layout.nb_channels;
  }
  if (shape.sample_rate <= 0 || shape.channels <= 0)
    fail(ErrorKind::data, "the sound does not say its rate or its channels");
  shape.samples = std::ssize(decode_audio(bytes, shape.sample_rate, extension, limits, 0).samples);
  return shape;
}

}  // namespace antiphon::media
#endif
