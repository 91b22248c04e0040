#include <antiphon/media/image/colour.h>

#include <antiphon/media/image/resize.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace antiphon::media {
namespace {

using Pixel = uint8_t*;

uint8_t clipped(int value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); }

// ITU-R 601, in 16 fractional bits.
int gray_of(const uint8_t* rgb) { return (rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16; }

// From `plain` at 0 to `value` at 1 and beyond; truncated.
uint8_t blended(int plain, int value, float factor) {
  const float mixed = static_cast<float>(plain) + factor * static_cast<float>(value - plain);
  if (mixed <= 0) return 0;
  return mixed >= 255 ? 255 : static_cast<uint8_t>(mixed);
}

template <class Change>
void for_pixels(Image& image, Change change) {
  for (size_t i = 0; i + 3 <= image.rgb.size(); i += 3) change(image.rgb.data() + i);
}

void blend_pixel(Pixel rgb, int plain, float factor) {
  for (int channel = 0; channel < 3; ++channel) rgb[channel] = blended(plain, rgb[channel], factor);
}

struct Hsv {
  uint8_t h = 0, s = 0, v = 0;
};

Hsv to_hsv(const uint8_t* rgb) {
  const auto [least, most] = std::minmax({rgb[0], rgb[1], rgb[2]});
  if (least == most) return {0, 0, most};
  const float range = static_cast<float>(most - least);
  const auto below = [&](int channel) { return static_cast<float>(most - rgb[channel]) / range; };
  const float r = below(0), g = below(1), b = below(2), s = range / static_cast<float>(most);
  float h = b - g;
  if (rgb[0] != most)
    h = static_cast<float>(rgb[1] == most ? 2.0 + static_cast<double>(r) - static_cast<double>(b)
                                          : 4.0 + static_cast<double>(g) - static_cast<double>(r));
  h = static_cast<float>(std::fmod(static_cast<double>(h) / 6.0 + 1.0, 1.0));
  return {clipped(static_cast<int>(static_cast<double>(h) * 255.0)),
          clipped(static_cast<int>(static_cast<double>(s) * 255.0)), most};
}

void from_hsv(const Hsv& hsv, Pixel rgb) {
  if (hsv.s == 0) return std::fill_n(rgb, 3, hsv.v), void();
  const double place = static_cast<double>(hsv.h) * 6.0 / 255.0;
  const int sector = static_cast<int>(std::floor(place));
  const auto rest = static_cast<double>(static_cast<float>(place - sector));
  const auto s = static_cast<double>(static_cast<float>(hsv.s / 255.0));
  const auto part = [&](double share) { return clipped(static_cast<int>(std::round(hsv.v * (1.0 - s * share)))); };
  const uint8_t v = hsv.v, p = part(1), q = part(rest), t = part(1.0 - rest);
  const uint8_t sectors[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
  std::copy_n(sectors[sector % 6], 3, rgb);
}

}  // namespace

void adjust_brightness(Image& image, double factor) {
  for_pixels(image, [&](Pixel rgb) { blend_pixel(rgb, 0, static_cast<float>(factor)); });
}

void adjust_contrast(Image& image, double factor) {
  double sum = 0;
  for_pixels(image, [&](Pixel rgb) { sum += gray_of(rgb); });
  const auto pixels = static_cast<double>(std::max<int64_t>(1, image.height * image.width));
  const int mean = static_cast<int>(sum / pixels + 0.5);
  for_pixels(image, [&](Pixel rgb) { blend_pixel(rgb, mean, static_cast<float>(factor)); });
}

void adjust_saturation(Image& image, double factor) {
  for_pixels(image, [&](Pixel rgb) { blend_pixel(rgb, gray_of(rgb), static_cast<float>(factor)); });
}

void adjust_hue(Image& image, double turn) {
  const auto steps = static_cast<uint8_t>(static_cast<int>(turn * 255));  // modulo 256
  for_pixels(image, [&](Pixel rgb) {
    auto hsv = to_hsv(rgb);
    hsv.h = static_cast<uint8_t>(hsv.h + steps);
    from_hsv(hsv, rgb);
  });
}

void flip(Image& image) {
  for (int64_t y = 0; y < image.height; ++y) {
    uint8_t* row = image.rgb.data() + y * image.width * 3;
    for (int64_t left = 0, right = image.width - 1; left < right; ++left, --right)
      std::swap_ranges(row + left * 3, row + left * 3 + 3, row + right * 3);
  }
}

Image resized_crop(const Image& image, int64_t top, int64_t left, Size part, Size to) {
  Image cut{part.height, part.width, std::vector<uint8_t>(static_cast<size_t>(part.height * part.width * 3))};
  for (int64_t y = 0; y < part.height; ++y)
    std::memcpy(cut.rgb.data() + y * part.width * 3, image.rgb.data() + ((top + y) * image.width + left) * 3,
                static_cast<size_t>(part.width * 3));
  return resize(cut, to, Filter::bilinear);
}

}  // namespace antiphon::media
