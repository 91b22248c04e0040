#include <antiphon/media/image/pixels.h>

#include <algorithm>
#include <array>

namespace antiphon::media {
namespace {

using Row = std::vector<uint8_t>;

uint8_t clip(int value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); }

// 14 fractional bits, of which 8 are dropped in each product.
void webp_pixel(int y, int u, int v, uint8_t* rgb) {
  const auto product = [](int value, int factor) { return (value * factor) >> 8; };
  const int luma = product(y, 19077);
  rgb[0] = clip((luma + product(v, 26149) - 14234) >> 6);
  rgb[1] = clip((luma - product(u, 6419) - product(v, 13320) + 8708) >> 6);
  rgb[2] = clip((luma + product(u, 33050) - 17685) >> 6);
}

// 9/16 of the nearest cell, 3/16 of the two beside it, 1/16 of the one across, in two rounded steps.
int webp_mix(int near, int beside, int other_row, int across) {
  const int sum = near + beside + other_row + across + 8;
  return (near + ((sum + 2 * (beside + other_row)) >> 3)) >> 1;
}

void webp_chroma_row(const Plane& plane, int64_t y, Row& out) {
  const int64_t other = std::clamp<int64_t>(y / 2 + (y % 2 ? 1 : -1), 0, plane.height - 1);
  const uint8_t *near = plane.row(y / 2), *far = plane.row(other);
  const auto edge = [&](int64_t x) { return static_cast<uint8_t>((3 * near[x] + far[x] + 2) >> 2); };
  const int64_t last = plane.width - 1;
  out[0] = edge(0);
  for (int64_t x = 0; x < last; ++x) {
    out[2 * x + 1] = static_cast<uint8_t>(webp_mix(near[x], near[x + 1], far[x], far[x + 1]));
    out[2 * x + 2] = static_cast<uint8_t>(webp_mix(near[x + 1], near[x], far[x + 1], far[x]));
  }
  out[2 * last + 1] = edge(last);
}

Image empty_like(const Plane& plane) {
  return {plane.height, plane.width, std::vector<uint8_t>(static_cast<size_t>(plane.height * plane.width * 3))};
}

}  // namespace

Image webp_to_rgb(const Plane& y, const Plane& u, const Plane& v) {
  Image image = empty_like(y);
  Row us(static_cast<size_t>(2 * u.width)), vs(us.size());
  uint8_t* out = image.rgb.data();
  for (int64_t line = 0; line < y.height; ++line) {
    webp_chroma_row(u, line, us);
    webp_chroma_row(v, line, vs);
    const uint8_t* luma = y.row(line);
    for (int64_t x = 0; x < y.width; ++x, out += 3) webp_pixel(luma[x], us[x], vs[x], out);
  }
  return image;
}

void inverted_cmyk_to_rgb(const uint8_t* cmyk, int64_t count, uint8_t* rgb) {
  for (; count > 0; --count, cmyk += 4, rgb += 3)
    for (int channel = 0; channel < 3; ++channel) {
      const int sum = (255 - cmyk[channel]) * cmyk[3] + 128;
      rgb[channel] = clip(cmyk[3] - ((sum + (sum >> 8)) >> 8));
    }
}

void blend_over_white(Image& image, const Plane& alpha) {
  uint8_t* out = image.rgb.data();
  for (int64_t y = 0; y < image.height; ++y) {
    const uint8_t* opacity = alpha.row(y);
    for (int64_t x = 0; x < image.width; ++x, out += 3)
      for (int channel = 0; channel < 3; ++channel) {
        const int sum = out[channel] * opacity[x] + 255 * (255 - opacity[x]) + 128;
        out[channel] = static_cast<uint8_t>((sum + (sum >> 8)) >> 8);
      }
  }
}

void lay(const Image& image, int64_t x, int64_t y, Image& canvas) {
  for (int64_t line = 0; line < image.height; ++line)
    std::copy_n(image.rgb.data() + line * image.width * 3, image.width * 3,
                canvas.rgb.data() + ((y + line) * canvas.width + x) * 3);
}

Image oriented(Image image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const bool swapped = orientation >= 5;
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out{swapped ? image.width : image.height, swapped ? image.height : image.width,
            std::vector<uint8_t>(image.rgb.size())};
  uint8_t* to = out.rgb.data();
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x) {
      // In the source's own axes, mirrored if the orientation says so.
      const int64_t across = swapped ? y : x, down = swapped ? x : y;
      const int64_t from_x = flip_x ? image.width - 1 - across : across,
                    from_y = flip_y ? image.height - 1 - down : down;
      to = std::copy_n(image.rgb.data() + (from_y * image.width + from_x) * 3, 3, to);
    }
  return out;
}

}  // namespace antiphon::media
