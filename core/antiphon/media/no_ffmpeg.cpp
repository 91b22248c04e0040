#include <antiphon/base/error.h>
#include <antiphon/media/audio/speed.h>
#include <antiphon/media/decode.h>

#if !ANTIPHON_FFMPEG
namespace antiphon::media {
namespace {

[[noreturn]] void fail_without(const char* what) {
  fail(ErrorKind::config, std::string("cannot decode ") + what + ": this build has no FFmpeg",
       "install FFmpeg's development files and build with -DANTIPHON_FFMPEG=ON");
}

}  // namespace

Image decode_image(std::string_view, const MediaLimits&, const ImageReading&) { fail_without("images"); }
Audio decode_audio(std::string_view, int64_t, std::string_view, const MediaLimits&, std::optional<int64_t>) {
  fail_without("sound");
}
AudioShape audio_shape(std::string_view, std::string_view, const MediaLimits&) { fail_without("sound"); }
Video decode_video(std::string_view, const VideoOptions&, const MediaLimits&) { fail_without("videos"); }
Audio change_speed(const Audio&, double, const MediaLimits&) { fail_without("sound at another speed"); }
Audio resample(const Audio&, int64_t, const MediaLimits&) { fail_without("sound at another rate"); }
std::string backend_version() { return "off: this build has no FFmpeg"; }

}  // namespace antiphon::media
#endif
