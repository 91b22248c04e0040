// JPEG images through libjpeg, with the settings of Pillow: the same bytes as `Image.open(path).convert("RGB")` if both
// use libjpeg-turbo. Internal: included by the .cpp files of this folder only, in builds with FFmpeg.
#pragma once
#include <string_view>

#include <antiphon/component/media_item.h>
#include <antiphon/media/ffmpeg.h>

namespace antiphon::media {

// Baseline, extended, progressive and arithmetic-coded images of 8 bits in grey, YCbCr, RGB, CMYK and YCCK, of all
// samplings; CMYK is taken as inverted, as Adobe writes it. Error(data) if it is damaged, cut short or beyond the
// limits.
Image decode_jpeg(std::string_view bytes, const MediaLimits& limits, const Deadline& deadline);

}  // namespace antiphon::media
