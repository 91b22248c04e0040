#include <antiphon/media/image/native_image.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <cmath>

namespace antiphon::media {
namespace {

constexpr double kMostShape = 200;  // of the longer edge to the shorter one

}  // namespace

// As Python computes it: in double, with divisions in this order.
Size native_size(Size picture, int64_t multiple, int64_t min_pixels, int64_t max_pixels, FrameCount count) {
  const auto height = static_cast<double>(picture.height), width = static_cast<double>(picture.width),
             step = static_cast<double>(multiple);
  if (picture.height <= 0 || picture.width <= 0 || std::max(height, width) / std::min(height, width) > kMostShape)
    fail(ErrorKind::data,
         fmt::format("a picture of {} x {} pixels: its edges must be positive, and the longer one at most {} times the "
                     "shorter one",
                     picture.width, picture.height, kMostShape),
         "crop the picture, or leave it out");
  const auto whole = [&](double steps) { return static_cast<int64_t>(steps) * multiple; };
  Size size{whole(std::nearbyint(height / step)), whole(std::nearbyint(width / step))};
  const int64_t area = count.counted * size.height * size.width;
  const double own = static_cast<double>(count.frames) * height * width;
  if (area > max_pixels) {
    const double beta = std::sqrt(own / static_cast<double>(max_pixels));
    const auto shrunk = [&](double edge) { return std::max(multiple, whole(std::floor(edge / beta / step))); };
    return {shrunk(height), shrunk(width)};
  }
  if (area >= min_pixels) return size;
  const double beta = std::sqrt(static_cast<double>(min_pixels) / own);
  return {whole(std::ceil(height * beta / step)), whole(std::ceil(width * beta / step))};
}

void check_native_image(const NativeImage& o, int64_t multiple, const std::string& plugin) {
  if (o.mean.size() != 3 || o.std.size() != 3)
    fail(ErrorKind::config, plugin + ": mean and std need three values each");
  if (o.max_pixels < o.min_pixels || o.max_pixels < multiple * multiple)
    fail(ErrorKind::config,
         fmt::format("{}: max_pixels = {} is less than min_pixels = {}, or than the smallest picture of {} x {}",
                     plugin, o.max_pixels, o.min_pixels, multiple, multiple));
}

Normalization normalization_of(const NativeImage& o) {
  Normalization normalization;
  std::copy_n(o.mean.begin(), 3, normalization.mean.begin());
  std::copy_n(o.std.begin(), 3, normalization.std.begin());
  return normalization;
}

at::Tensor native_part(const MediaItem& item, const NativeImage& o, int64_t multiple, const std::string& plugin) {
  if (item.modality != Modality::image)
    fail(ErrorKind::data, fmt::format("{} takes images and got {}", plugin, to_string(item.modality)));
  const auto size = native_size({item.image.height, item.image.width}, multiple, o.min_pixels, o.max_pixels);
  return to_tensor(resize(item.image, size, filter_from_number(o.resample)), normalization_of(o)).unsqueeze(0);
}

}  // namespace antiphon::media
