// Decoded planes to 8-bit RGB, with the arithmetic of the libraries that Pillow uses. Knows nothing of FFmpeg.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include <antiphon/component/media_item.h>

namespace antiphon::media {

struct Plane {
  const uint8_t* data = nullptr;
  int64_t stride = 0, width = 0, height = 0;
  const uint8_t* row(int64_t y) const { return data + y * stride; }
};

// Limited-range 4:2:0 as libwebp does it (src/dsp/upsampling.c, yuv.h).
Image webp_to_rgb(const Plane& y, const Plane& u, const Plane& v);

// PIL's convert("RGB") of CMYK, stored as Adobe stores it: 255 minus each value.
void inverted_cmyk_to_rgb(const uint8_t* cmyk, int64_t count, uint8_t* rgb);

// Blends `image` over white: PIL.Image.alpha_composite with an opaque white background.
void blend_over_white(Image& image, const Plane& alpha);

// Lays `image` onto `canvas` at (x, y), where it fits.
void lay(const Image& image, int64_t x, int64_t y, Image& canvas);

// EXIF orientation 1 to 8: the image as it is meant to be seen.
Image oriented(Image image, int orientation);

}  // namespace antiphon::media
