#include <fmt/format.h>

#include <algorithm>

#include "dinov2.h"

namespace antiphon::dinov2 {
namespace {

// The whole picture in the middle of a white square of `edge` pixels.
Image padded(const Image& image, int64_t edge, media::Filter filter) {
  const double scale = static_cast<double>(edge) / static_cast<double>(std::max(image.height, image.width));
  auto scaled = [&](int64_t size) {
    return std::clamp<int64_t>(static_cast<int64_t>(static_cast<double>(size) * scale + 0.5), 1, edge);
  };
  const Image small = media::resize(image, {scaled(image.height), scaled(image.width)}, filter);
  Image out{edge, edge, std::vector<uint8_t>(static_cast<size_t>(edge * edge * 3), 255)};
  const int64_t top = (edge - small.height) / 2, left = (edge - small.width) / 2;
  for (int64_t y = 0; y < small.height; ++y)
    std::copy_n(&small.rgb[static_cast<size_t>(y * small.width * 3)], small.width * 3,
                &out.rgb[static_cast<size_t>(((top + y) * edge + left) * 3)]);
  return out;
}

Image fitted(const Image& image, const Dinov2Options& o) {
  const auto filter = media::filter_from_number(o.resample);
  const media::Size square{o.input_size, o.input_size};
  if (o.fit == "stretch") return media::resize(image, square, filter);
  if (o.fit == "pad") return padded(image, o.input_size, filter);
  return media::center_crop(
      media::resize(image, media::shortest_edge_size({image.height, image.width}, o.shortest_edge), filter), square);
}

}  // namespace

std::vector<at::Tensor> Dinov2::process(const MediaItem& item) const {
  if (item.modality != Modality::image)
    fail(ErrorKind::data, fmt::format("dinov2 takes images and got {}", to_string(item.modality)));
  media::Normalization normalization;
  std::copy_n(options_.mean.begin(), 3, normalization.mean.begin());
  std::copy_n(options_.std.begin(), 3, normalization.std.begin());
  return {media::to_tensor(fitted(item.image, options_), normalization)};
}

}  // namespace antiphon::dinov2
