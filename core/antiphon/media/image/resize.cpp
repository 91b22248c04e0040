#include <antiphon/media/image/resize.h>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/image/resizer.h>

namespace antiphon::media {
namespace {

// Pillow walks in steps of a double, whose rounding decides ties: the same sum, term by term.
std::vector<int64_t> nearest_positions(int64_t input, int64_t output) {
  const double step = static_cast<double>(input) / static_cast<double>(output);
  std::vector<int64_t> positions;
  double at = step * 0.5;
  for (int64_t i = 0; i < output; ++i, at += step) positions.push_back(std::min(static_cast<int64_t>(at), input - 1));
  return positions;
}

Image resize_nearest(const Image& image, Size size) {
  const auto xs = nearest_positions(image.width, size.width), ys = nearest_positions(image.height, size.height);
  Image out{size.height, size.width, std::vector<uint8_t>(static_cast<size_t>(size.height * size.width * 3))};
  uint8_t* to = out.rgb.data();
  for (const int64_t y : ys) {
    const uint8_t* row = image.rgb.data() + y * image.width * 3;
    for (const int64_t x : xs) to = std::copy_n(row + x * 3, 3, to);
  }
  return out;
}

void check(const Image& image, Size size) {
  if (image.height <= 0 || image.width <= 0 || size.height <= 0 || size.width <= 0)
    fail(ErrorKind::data, fmt::format("cannot resize an image of {} x {} to {} x {}", image.width, image.height,
                                      size.width, size.height));
}

}  // namespace

std::string_view to_string(Filter filter) {
  constexpr std::string_view names[] = {"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"};
  return names[static_cast<int>(filter)];
}

Filter filter_from_number(int64_t number) {
  if (number < 0 || number > 5)
    fail(ErrorKind::config, fmt::format("resample = {} is not a filter", number),
         "0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming");
  return static_cast<Filter>(number);
}

Image resize(const Image& image, Size size, Filter filter) {
  check(image, size);
  return filter == Filter::nearest ? resize_nearest(image, size)
                                   : Resizer({image.height, image.width}, size, filter).resize(image);
}

Image resize_and_crop(const Image& image, Size size, Size crop, Filter filter) {
  check(image, size);
  if (filter == Filter::nearest || crop.height <= 0 || crop.width <= 0 || crop.height > size.height ||
      crop.width > size.width)
    return center_crop(resize(image, size, filter), crop);
  const Window middle{(size.height - crop.height) / 2, (size.width - crop.width) / 2, crop};
  return Resizer({image.height, image.width}, size, filter, middle).resize(image);
}

}  // namespace antiphon::media
