#include "split_image.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/image/processor_keys.h>
#include <antiphon/media/image/tiles.h>

#include <algorithm>

namespace antiphon::idefics3_vision {
namespace {

using media::Size;

int64_t up_to_tiles(int64_t edge, int64_t tile) { return (edge + tile - 1) / tile * tile; }

// The size in whole tiles: the longer edge is filled up first, and the other one follows it.
Size in_tiles(Size size, int64_t tile) {
  const double shape = static_cast<double>(size.width) / static_cast<double>(size.height);
  if (size.width >= size.height) {
    const int64_t width = up_to_tiles(size.width, tile);
    return {up_to_tiles(static_cast<int64_t>(static_cast<double>(width) / shape), tile), width};
  }
  const int64_t height = up_to_tiles(size.height, tile);
  return {height, up_to_tiles(static_cast<int64_t>(static_cast<double>(height) * shape), tile)};
}

media::Normalization normalization_of(const SplitImage& o) {
  media::Normalization normalization;
  std::copy_n(o.mean.begin(), 3, normalization.mean.begin());
  std::copy_n(o.std.begin(), 3, normalization.std.begin());
  return normalization;
}

}  // namespace

// As Python computes it, in double.
Size scaled_size(Size picture, int64_t longest_edge) {
  if (picture.height <= 0 || picture.width <= 0)
    fail(ErrorKind::data, fmt::format("a picture of {} x {} pixels is empty", picture.width, picture.height),
         "leave it out");
  const double shape = static_cast<double>(picture.width) / static_cast<double>(picture.height),
               longest = static_cast<double>(longest_edge);
  const auto even = [](double edge) { return std::max<int64_t>(1, (static_cast<int64_t>(edge) + 1) / 2 * 2); };
  return picture.width >= picture.height ? Size{even(longest / shape), longest_edge}
                                         : Size{longest_edge, even(longest * shape)};
}

Size tiles_of(Size picture, const SplitImage& o) {
  if (!o.split) return {0, 0};
  const auto size = in_tiles(scaled_size(picture, o.longest_edge), o.tile_size);
  const Size tiles{size.height / o.tile_size, size.width / o.tile_size};
  return tiles.height * tiles.width == 1 ? Size{0, 0} : tiles;
}

at::Tensor whole_part(const Image& picture, const SplitImage& o) {
  return media::to_tensor(media::resize(picture, {o.tile_size, o.tile_size}, media::filter_from_number(o.resample)),
                          normalization_of(o));
}

// The whole, too, is made of the stretched picture.
std::vector<at::Tensor> split_parts(const Image& picture, const SplitImage& o) {
  const auto filter = media::filter_from_number(o.resample);
  const auto size = scaled_size({picture.height, picture.width}, o.longest_edge);
  const auto scaled = media::resize(picture, size, filter);
  if (!o.split) return {whole_part(scaled, o)};
  const auto stretched = media::resize(scaled, in_tiles(size, o.tile_size), filter);
  const Size tiles{stretched.height / o.tile_size, stretched.width / o.tile_size};
  std::vector<at::Tensor> parts;
  for (const auto& part : media::stretched_tiles(stretched, tiles, o.tile_size, filter))
    parts.push_back(media::to_tensor(part, normalization_of(o)));
  std::ranges::rotate(parts, parts.end() - 1);  // the whole, which is last there
  return parts;
}

const ForeignKeys& shared_keys() {
  static const auto* keys = new ForeignKeys(
      media::processor_keys().with({.fixed = {{"do_center_crop", {false}}, {"crop_size", {}}},
                                    // do_pad: pictures of a batch are filled up, and have one size already
                                    .other = {"do_pad", "max_image_size", "return_row_col_info", "video_sampling",
                                              "do_sample_frames", "image_seq_len", "image_seq_length"}}));
  return *keys;
}

int64_t longest_edge_of(const JsonTable& json, const std::string& key, int64_t otherwise) {
  const auto size = json.table(key);
  if (!size.exists()) return otherwise;
  if (!size.find("longest_edge")) json.refuse(key, "a table with \"longest_edge\"");
  return size.integer("longest_edge", 0, 1, kMostPixels);
}

void read_split_image(const JsonTable& json, const config::Schema& table, SplitImage& o, void* options) {
  if (!json.exists()) return;
  static const auto* keys = new ForeignKeys(shared_keys().with(
      {.options =
           {{"resample", "resample"}, {"image_mean", "mean"}, {"image_std", "std"}, {"do_image_splitting", "split"}},
       .fixed = {{"image_processor_type",
                  {"Idefics3ImageProcessor", "Idefics3ImageProcessorFast", "Idefics3ImageProcessorPil",
                   "SmolVLMImageProcessor", "SmolVLMImageProcessorFast", "SmolVLMImageProcessorPil"}}},
       .other = {"video_processor_type", "num_frames", "fps"}}));
  foreign::read_keys(json, *keys, table, options);
  media::check_rescaled(json);
  o.longest_edge = longest_edge_of(json, "size", o.longest_edge);
  o.tile_size = longest_edge_of(json, "max_image_size", o.tile_size);
}

}  // namespace antiphon::idefics3_vision
