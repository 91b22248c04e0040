#include <antiphon/media/limits.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

namespace antiphon::media {

void check_picture_size(int64_t width, int64_t height, const MediaLimits& limits) {
  if (width <= 0 || height <= 0) fail(ErrorKind::data, fmt::format("the picture's size is {} x {}", width, height));
  if (width > limits.side || height > limits.side || width * height > limits.pixels)
    fail(ErrorKind::data,
         fmt::format("the picture has {} x {} pixels; at most {} a side and {} in all are accepted", width, height,
                     limits.side, limits.pixels),
         "make it smaller");
}

}  // namespace antiphon::media
