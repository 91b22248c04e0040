// Frames of a video as 8-bit RGB, and resized. Internal: included by the .cpp files of this folder only, in builds with
// FFmpeg.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include <antiphon/media/ffmpeg.h>
#include <antiphon/media/image/resizer.h>

struct SwsContext;

namespace antiphon::media {

// The result of libswscale with its most exact settings, byte for byte. Frames of even size in 4:2:0 are converted by a
// kernel, a strip at a time, if a probe shows that it gives the same as the installed libswscale. Keeps tables and
// buffers from frame to frame.
class VideoConverter {
 public:
  VideoConverter();
  ~VideoConverter();
  Image operator()(const AVFrame& frame);
  // resize(frame as RGB, size, filter); any filter but nearest.
  Image resized(const AVFrame& frame, Size size, Filter filter);

 private:
  struct Kind {
    int format, space, range;
    bool operator==(const Kind&) const = default;
  };
  struct FreeScaler {
    void operator()(SwsContext* scaler) const;
  };

  bool by_kernel(const AVFrame& frame);
  bool probe(const Kind& kind);
  void convert_strip(const AVFrame& frame, int64_t first, int64_t count, uint8_t* out);
  PixelRows by_libswscale(const AVFrame& frame);

  std::unique_ptr<SwsContext, FreeScaler> scaler_;
  std::optional<Kind> probed_;
  bool agrees_ = false;
  std::optional<Resizer> resizer_;
  Size from_, to_;
  Filter filter_ = Filter::bicubic;
  kernels::ColourMatrix matrix_;
  std::vector<uint8_t> rows_;
  std::vector<int16_t> scratch_;
};

}  // namespace antiphon::media
