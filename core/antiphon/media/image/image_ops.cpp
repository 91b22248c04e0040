#include <algorithm>
#include <cstring>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/image/resize.h>

namespace antiphon::media {
namespace {

// Every byte value after NumPy's arithmetic: rescaling in double, rounded; mean and deviation in float.
std::array<float, 256> value_table(const Normalization& n, size_t channel) {
  std::array<float, 256> table;
  const auto mean = static_cast<float>(n.mean[channel]), deviation = static_cast<float>(n.std[channel]);
  for (int value = 0; value < 256; ++value) table[value] = (static_cast<float>(value * n.scale) - mean) / deviation;
  return table;
}

// Towards minus infinity, as Python's //.
int64_t half(int64_t difference) { return difference >= 0 ? difference / 2 : -((1 - difference) / 2); }

}  // namespace

Size shortest_edge_size(Size size, int64_t shortest_edge) {
  const int64_t shorter = std::min(size.height, size.width), longer = std::max(size.height, size.width);
  if (shorter <= 0 || shortest_edge <= 0)
    fail(ErrorKind::data, fmt::format("cannot bring a picture of {} x {} to a shorter edge of {}", size.width,
                                      size.height, shortest_edge));
  const auto scaled = static_cast<int64_t>(static_cast<double>(shortest_edge * longer) / static_cast<double>(shorter));
  return size.width <= size.height ? Size{scaled, shortest_edge} : Size{shortest_edge, scaled};
}

Image center_crop(const Image& image, Size size) {
  if (size.height <= 0 || size.width <= 0)
    fail(ErrorKind::data, fmt::format("cannot crop a picture to {} x {}", size.width, size.height));
  Image out{size.height, size.width, std::vector<uint8_t>(static_cast<size_t>(size.height * size.width * 3), 0)};
  const int64_t top = half(image.height - size.height), left = half(image.width - size.width);
  const int64_t from = std::max<int64_t>(0, left), count = std::min(image.width, left + size.width) - from;
  for (int64_t y = std::max<int64_t>(0, -top); y < size.height && y + top < image.height; ++y)
    std::memcpy(out.rgb.data() + (y * size.width + from - left) * 3,
                image.rgb.data() + ((y + top) * image.width + from) * 3, static_cast<size_t>(count * 3));
  return out;
}

at::Tensor to_tensor(const Image& image, const Normalization& normalization) {
  const at::Tensor out = at::empty({3, image.height, image.width}, at::kFloat);
  const int64_t pixels = image.height * image.width;
  auto* to = out.data_ptr<float>();
  std::array<float, 256> tables[3];
  for (size_t channel = 0; channel < 3; ++channel) tables[channel] = value_table(normalization, channel);
  const uint8_t* in = image.rgb.data();
  for (int64_t i = 0; i < pixels; ++i, in += 3)
    for (int channel = 0; channel < 3; ++channel) to[channel * pixels + i] = tables[channel][in[channel]];
  return out;
}

}  // namespace antiphon::media
