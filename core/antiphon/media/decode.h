// Decodes the bytes of a file to images and audio.
//
// Everything is decoded from memory. The format is detected from the bytes; the file name counts only if
// the content carries no signature (raw G.722). Formats and codecs come from a short list, and no decoder can open a
// file or a connection: a playlist that calls itself a video is refused, not followed.
// Bad input throws Error(data) with an explanation; nothing here returns an empty result.
// In a build without FFmpeg (ANTIPHON_FFMPEG=OFF) every decode_ and load_ function throws Error(config).
// Thread-safe. A call works on one thread; decode_video also uses the cores that no other call has taken.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <antiphon/component/media_item.h>
#include <antiphon/component/video_rule.h>
#include <antiphon/media/image/image_reading.h>
#include <antiphon/media/limits.h>
#include <antiphon/media/size.h>

namespace antiphon::media {

// PNG, JPEG, WebP and GIF; of animations, the first frame: byte for byte what Pillow's ImageOps.exif_transpose and
// convert("RGB") give, which is how transformers' load_image reads (with `reading` as it is). Gray becomes three equal
// channels, 16-bit samples except gray ones keep their high byte, the orientation of EXIF or XMP is applied, embedded
// colour profiles are not. JPEG goes through libjpeg; lossy WebP follows libwebp's arithmetic. A truncated image is an
// error.
Image decode_image(std::string_view bytes, const MediaLimits& limits = {}, const ImageReading& reading = {});

// Mono audio at `sample_rate` Hz: the mean of all channels, or channel number `channel` of them, from 0 on, alone; then
// libswresample. Error(data) if there is no such channel. `extension` is the file's ("g722", ".wav"; "" if unknown). A
// clip of n samples at rate r gives ceil(n * sample_rate / r) samples.
// Encoder delay and padding are dropped if the file declares them. Damaged packets are skipped;
// it is an error if all are damaged, if a clip has no samples, or if a WAV is shorter than it says.
Audio decode_audio(std::string_view bytes, int64_t sample_rate, std::string_view extension = {},
                   const MediaLimits& limits = {}, std::optional<int64_t> channel = {});

// A sound as the file has it.
struct AudioShape {
  int64_t sample_rate = 0, channels = 0, samples = 0;  // samples of one channel
};
// Decodes all of it: headers may say other lengths than decode_audio() gives.
AudioShape audio_shape(std::string_view bytes, std::string_view extension = {}, const MediaLimits& limits = {});

// Exactly one of `frames`, `frames_per_second` and `choose` is set.
struct VideoOptions {
  int64_t frames = 0;                   // n frames, at the inner points of linspace(0, duration, n + 2)
  double frames_per_second = 0;         // frames at 0, 1/f, 2/f, ... below the duration
  int64_t sample_rate = 0;              // also decode the audio, at this rate; 0: no audio
  std::optional<int64_t> channel = {};  // of the audio, as in decode_audio()
  // Each frame is resized to this size, as by resize() of resize.h, before it is stored: faster than doing it later,
  // and in a fraction of the memory. Not positive: frames stay as they are.
  Size size{};
  Filter filter = Filter::bicubic;
  // Frames by number, and their size in place of `size` and `filter`: called once, with what the file has.
  std::function<FrameChoice(const VideoShape& video)> choose = {};
};

struct VideoFrame {
  double seconds = 0;  // when this frame is shown, from the start of the video
  Image image;
};

struct Video {
  double seconds = 0;              // from the frames' own times, not from what the header claims
  std::vector<VideoFrame> frames;  // one per requested time; a frame may repeat
  std::optional<Audio> audio;      // starts with the video; not set if the file has none or none was requested
};

// The frame of a point in time is the one on screen then: the last one shown. Colour follows the stream's own
// declaration, or BT.601 limited range if there is none (as in FFmpeg). The track's display matrix is applied: quarter
// turns and mirroring.
Video decode_video(std::string_view bytes, const VideoOptions& options, const MediaLimits& limits = {});

// The same from a file; errors name it.
Image load_image(const std::filesystem::path& path, const MediaLimits& limits = {}, const ImageReading& reading = {});
Audio load_audio(const std::filesystem::path& path, int64_t sample_rate, const MediaLimits& limits = {});
Video load_video(const std::filesystem::path& path, const VideoOptions& options, const MediaLimits& limits = {});

// The FFmpeg version, "5.1.9-0+deb12u1", or "off: …" and why; for `antiphon doctor`.
std::string backend_version();

}  // namespace antiphon::media
