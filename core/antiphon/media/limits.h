// Upper limits of what the decoders accept. All are checked before memory is allocated.
#pragma once
#include <cstdint>

namespace antiphon::media {

struct MediaLimits {
  uint64_t file_bytes = 512ULL << 20;  // a whole file, read into memory
  int64_t pixels = 64'000'000;         // area of an image or of one frame of a video
  int64_t side = 16384;                // width and height, each
  int64_t jpeg_scans = 500;            // a progressive JPEG's passes over the image
  double audio_seconds = 30 * 60;      // decoded audio
  int64_t channels = 8;
  int64_t sample_rate = 192'000;  // of the source
  double video_seconds = 10 * 60;
  int64_t frames = 768;               // frames handed out
  uint64_t video_bytes = 2ULL << 30;  // of the frames handed out, as RGB
  int64_t streams = 3;                // video and audio together; subtitles and data do not count
  int64_t probe_bytes = 5'000'000;    // read to find out what a file is
  double wall_seconds = 20;           // per item
};

// Error(data) if an image size is beyond the limits or empty.
void check_picture_size(int64_t width, int64_t height, const MediaLimits& limits);

}  // namespace antiphon::media
