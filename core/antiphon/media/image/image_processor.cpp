#include <antiphon/media/image/image_processor.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/image/tiles.h>

#include <algorithm>

namespace antiphon::media {
namespace {

// The whole image in the middle of a white square of `edge` pixels.
Image padded(const Image& image, int64_t edge, Filter filter) {
  const double scale = static_cast<double>(edge) / static_cast<double>(std::max(image.height, image.width));
  auto scaled = [&](int64_t size) {
    return std::clamp<int64_t>(static_cast<int64_t>(static_cast<double>(size) * scale + 0.5), 1, edge);
  };
  return centered(resize(image, {scaled(image.height), scaled(image.width)}, filter), {edge, edge}, 255);
}

Image fitted(const Image& image, const ImageProcessing& o) {
  const auto filter = filter_from_number(o.resample);
  const Size square{o.input_size, o.input_size};
  if (o.fit == "stretch") return resize(image, square, filter);
  if (o.fit == "pad") return padded(image, o.input_size, filter);
  return resize_and_crop(image, shortest_edge_size({image.height, image.width}, o.shortest_edge), square, filter);
}

std::vector<Size> resolutions(const ImageProcessing& o) {
  std::vector<Size> sizes;
  for (const auto& text : o.tile_resolutions) sizes.push_back(parse_size(text));
  return sizes;
}

}  // namespace

void check_image_processing(const ImageProcessing& o, const std::string& plugin) {
  if (o.mean.size() != 3 || o.std.size() != 3)
    fail(ErrorKind::config, plugin + ": mean and std need three values each");
  if (o.max_tiles > 1 && (o.fit != "stretch" || !o.tile_resolutions.empty() || o.min_tiles > o.max_tiles))
    fail(ErrorKind::config,
         fmt::format("{}: max_tiles = {} with fit = \"{}\", min_tiles = {} and {} tile_resolutions", plugin,
                     o.max_tiles, o.fit, o.min_tiles, o.tile_resolutions.size()),
         "it goes with fit = \"stretch\", no more min_tiles and no tile_resolutions");
  for (const auto& size : resolutions(o))
    if (size.height % o.input_size != 0 || size.width % o.input_size != 0)
      fail(ErrorKind::config, fmt::format("{}: tile_resolutions has {}x{}, which is not a multiple of input_size = {}",
                                          plugin, size.height, size.width, o.input_size));
}

void check_patch(const ImageProcessing& o, int64_t patch_size, const std::string& plugin) {
  if (o.input_size < patch_size)
    fail(ErrorKind::config,
         fmt::format("{}: input_size = {} is smaller than a patch, patch_size = {}", plugin, o.input_size, patch_size));
}

Normalization normalization_of(const ImageProcessing& o) {
  Normalization normalization;
  std::copy_n(o.mean.begin(), 3, normalization.mean.begin());
  std::copy_n(o.std.begin(), 3, normalization.std.begin());
  return normalization;
}

std::vector<at::Tensor> process_image(const MediaItem& item, const ImageProcessing& o, const std::string& plugin) {
  if (item.modality != Modality::image)
    fail(ErrorKind::data, fmt::format("{} takes images and got {}", plugin, to_string(item.modality)));
  const auto normalization = normalization_of(o);
  const auto filter = filter_from_number(o.resample);
  if (o.max_tiles > 1) {
    const auto grid = tile_grid({item.image.height, item.image.width}, o.input_size, o.min_tiles, o.max_tiles);
    std::vector<at::Tensor> parts;
    for (const auto& tile : stretched_tiles(item.image, grid, o.input_size, filter))
      parts.push_back(to_tensor(tile, normalization));
    return parts;
  }
  if (o.tile_resolutions.empty()) return {to_tensor(fitted(item.image, o), normalization)};
  std::vector<at::Tensor> parts{to_tensor(resize(item.image, {o.input_size, o.input_size}, filter), normalization)};
  const auto whole = best_resolution({item.image.height, item.image.width}, resolutions(o));
  for (const auto& tile : tiles(item.image, whole, o.input_size, filter))
    parts.push_back(to_tensor(tile, normalization));
  return parts;
}

Tiling tiling_of(Size size, const ImageProcessing& o) {
  if (o.tile_resolutions.empty()) return {};
  const auto whole = best_resolution(size, resolutions(o));
  return {whole.height / o.input_size, whole.width / o.input_size, size.height, size.width};
}

}  // namespace antiphon::media
