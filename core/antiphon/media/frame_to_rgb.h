// A decoded frame as 8-bit RGB. Internal: included by the .cpp files of this folder only, in builds with FFmpeg.
#pragma once
#include <memory>
#include <optional>

#include <antiphon/media/ffmpeg.h>
#include <antiphon/media/image_header.h>
#include <antiphon/media/pixels.h>

struct SwsContext;

namespace antiphon::media {

// A picture: exact arithmetic, alpha blended over white.
Image frame_to_rgb(const AVFrame& frame, ImageFormat format);

// Frames of a video, through libswscale with its most exact settings; keeps the tables from frame to frame.
class VideoConverter {
 public:
  VideoConverter();
  ~VideoConverter();
  Image operator()(const AVFrame& frame);

 private:
  struct FreeScaler {
    void operator()(SwsContext* scaler) const;
  };
  std::unique_ptr<SwsContext, FreeScaler> scaler_;
};

}  // namespace antiphon::media
