// Sizes of images, and the filters for resizing them.
#pragma once
#include <cstdint>

namespace antiphon::media {

struct Size {
  int64_t height = 0, width = 0;
  bool operator==(const Size&) const = default;
};

// Pillow's filters; the numbers are those of PIL.Image.Resampling, which preprocessor_config.json stores as `resample`.
enum class Filter { nearest = 0, lanczos = 1, bilinear = 2, bicubic = 3, box = 4, hamming = 5 };

}  // namespace antiphon::media
