// A decoded frame as 8-bit RGB. Internal: included by the .cpp files of this folder only, in builds with FFmpeg.
#pragma once
#include <antiphon/media/ffmpeg.h>
#include <antiphon/media/image/image_header.h>
#include <antiphon/media/image/image_reading.h>
#include <antiphon/media/image/pixels.h>

namespace antiphon::media {

// An image, by exact arithmetic.
Image frame_to_rgb(const AVFrame& frame, ImageFormat format, const ImageReading& reading);

}  // namespace antiphon::media
