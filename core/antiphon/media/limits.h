// What the decoders accept at most. Everything is checked before memory is taken for it.
#pragma once
#include <cstdint>

namespace antiphon::media {

struct MediaLimits {
  uint64_t file_bytes = 512ULL << 20;  // a whole file, read into memory
  int64_t pixels = 64'000'000;         // area of a picture or of one frame of a video
  int64_t side = 16384;                // width and height, each
  int64_t jpeg_scans = 500;            // a progressive JPEG's passes over the picture
  double audio_seconds = 30 * 60;      // decoded sound
  int64_t channels = 8;
  int64_t sample_rate = 192'000;  // of the source
  double video_seconds = 10 * 60;
  int64_t frames = 768;               // frames handed out
  uint64_t video_bytes = 2ULL << 30;  // of the frames handed out, as RGB
  int64_t streams = 3;                // pictures and sound together; subtitles and data do not count
  int64_t probe_bytes = 5'000'000;    // read to find out what a file is
  double wall_seconds = 20;           // per item
};

// Error(data) if a picture of this size is beyond the limits or has no size.
void check_picture_size(int64_t width, int64_t height, const MediaLimits& limits);

}  // namespace antiphon::media
