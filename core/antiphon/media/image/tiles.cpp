#include <antiphon/media/image/tiles.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace antiphon::media {
namespace {

// The largest size of these proportions that fits; the edge with room to spare is rounded up.
Size fitting(Size picture, Size whole) {
  const double by_width = static_cast<double>(whole.width) / static_cast<double>(picture.width),
               by_height = static_cast<double>(whole.height) / static_cast<double>(picture.height);
  auto up = [](int64_t size, double scale, int64_t most) {
    return std::min(static_cast<int64_t>(std::ceil(static_cast<double>(size) * scale)), most);
  };
  return by_width < by_height ? Size{up(picture.height, by_width, whole.height), whole.width}
                              : Size{whole.height, up(picture.width, by_height, whole.width)};
}

Image cut(const Image& image, int64_t top, int64_t left, int64_t edge) {
  Image out{edge, edge, std::vector<uint8_t>(static_cast<size_t>(edge * edge * 3))};
  for (int64_t y = 0; y < edge; ++y)
    std::copy_n(image.rgb.begin() + ((top + y) * image.width + left) * 3, edge * 3, out.rgb.begin() + y * edge * 3);
  return out;
}

std::vector<Image> squares_of(const Image& picture, int64_t edge) {
  std::vector<Image> all;
  for (int64_t top = 0; top < picture.height; top += edge)
    for (int64_t left = 0; left < picture.width; left += edge) all.push_back(cut(picture, top, left, edge));
  return all;
}

}  // namespace

Size parse_size(const std::string& text) {
  Size size;
  const char* end = text.data() + text.size();
  const auto height = std::from_chars(text.data(), end, size.height);
  const bool good = height.ec == std::errc() && height.ptr < end && *height.ptr == 'x';
  const auto width = good ? std::from_chars(height.ptr + 1, end, size.width) : height;
  if (!good || width.ec != std::errc() || width.ptr != end || size.height <= 0 || size.width <= 0 ||
      size.height > 65536 || size.width > 65536)
    fail(ErrorKind::config, fmt::format("'{}' is not a resolution", text), "write HEIGHTxWIDTH, such as 336x672");
  return size;
}

Size best_resolution(Size picture, const std::vector<Size>& resolutions) {
  Size best;
  int64_t most = 0, least_waste = 0;
  for (const auto& size : resolutions) {
    const double scale = std::min(static_cast<double>(size.width) / static_cast<double>(picture.width),
                                  static_cast<double>(size.height) / static_cast<double>(picture.height));
    const auto width = static_cast<int64_t>(static_cast<double>(picture.width) * scale),
               height = static_cast<int64_t>(static_cast<double>(picture.height) * scale);
    const int64_t shown = std::min(width * height, picture.width * picture.height);
    const int64_t waste = size.width * size.height - shown;
    if (best.height == 0 || shown > most || (shown == most && waste < least_waste))
      best = size, most = shown, least_waste = waste;
  }
  return best;
}

Image centered(const Image& image, Size size, uint8_t gray) {
  Image out{size.height, size.width, std::vector<uint8_t>(static_cast<size_t>(size.height * size.width * 3), gray)};
  const int64_t top = (size.height - image.height) / 2, left = (size.width - image.width) / 2;
  for (int64_t y = 0; y < image.height; ++y)
    std::copy_n(image.rgb.begin() + y * image.width * 3, image.width * 3,
                out.rgb.begin() + ((top + y) * size.width + left) * 3);
  return out;
}

std::vector<Image> tiles(const Image& image, Size whole, int64_t edge, Filter filter) {
  return squares_of(centered(resize(image, fitting({image.height, image.width}, whole), filter), whole, 0), edge);
}

// As Python computes it, in double.
Size tile_grid(Size picture, int64_t edge, int64_t least, int64_t most) {
  std::vector<Size> grids;
  for (int64_t columns = 1; columns <= most; ++columns)
    for (int64_t rows = 1; rows * columns <= most; ++rows)
      if (rows * columns >= least) grids.push_back({rows, columns});
  std::ranges::stable_sort(grids, {}, [](const Size& grid) { return grid.height * grid.width; });
  const auto height = static_cast<double>(picture.height), width = static_cast<double>(picture.width);
  Size best{1, 1};
  double closest = std::numeric_limits<double>::infinity();
  for (const auto& grid : grids) {
    const double off = std::abs(width / height - static_cast<double>(grid.width) / static_cast<double>(grid.height));
    const bool fills = width * height > 0.5 * static_cast<double>(edge * edge * grid.height * grid.width);
    if (off < closest || (off == closest && fills)) best = grid, closest = off;
  }
  return best;
}

std::vector<Image> stretched_tiles(const Image& image, Size grid, int64_t edge, Filter filter) {
  auto all = squares_of(resize(image, {grid.height * edge, grid.width * edge}, filter), edge);
  if (all.size() > 1) all.push_back(resize(image, {edge, edge}, filter));
  return all;
}

}  // namespace antiphon::media
