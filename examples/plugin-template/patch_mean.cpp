#include "patch_mean.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace patch_mean {

using namespace antiphon;

const config::Table<PatchMeanOptions>& patch_mean_table() {
  using O = PatchMeanOptions;
  static const auto* table = new config::Table<O>(  // never destroyed: plugins stay until the process ends
      config::Table<O>("patch_mean")
          .field("hidden_size", &O::hidden_size, "width of a vector", {.min = 1})
          .field("image_size", &O::image_size, "side that every picture is brought to", {.min = 1, .max = 4096})
          .field("patch_size", &O::patch_size, "side of a square", {.min = 1}));
  return *table;
}

// The constructor declares parameters; they are on the meta device until weights or initial values are put in.
PatchMean::PatchMean(const PatchMeanOptions& options)
    : options_(options),
      projection_(3 * options.patch_size * options.patch_size, options.hidden_size, /*with_bias=*/true),
      norm_(antiphon::nn::NormKind::layer, options.hidden_size, 1e-5) {
  if (options.image_size % options.patch_size != 0)
    fail(ErrorKind::config, fmt::format("patch_mean: image_size = {} is not a multiple of patch_size = {}",
                                        options.image_size, options.patch_size));
  add("projection", projection_);
  add("norm", norm_);
}

// Called from loader threads: const, and without a look at the parameters. Errors of kind `data` skip the sample.
std::vector<at::Tensor> PatchMean::process(const MediaItem& item) const {
  if (item.modality != Modality::image)
    fail(ErrorKind::data, fmt::format("patch_mean takes images and got {}", to_string(item.modality)));
  const auto& image = item.image;
  if (image.height < 1 || image.width < 1) fail(ErrorKind::data, "the image has no pixels");
  const auto bytes = at::from_blob(const_cast<uint8_t*>(image.rgb.data()), {image.height, image.width, 3}, at::kByte);
  const auto pixels = bytes.permute({2, 0, 1}).unsqueeze(0).to(at::kFloat).div(255);
  return {at::adaptive_avg_pool2d(pixels, {options_.image_size, options_.image_size}).squeeze(0)};
}

// The counting contract: what forward() will give for a part of this shape, known before any weight is there.
TokenGrid PatchMean::output_grid(at::IntArrayRef part_shape) const {
  if (part_shape != at::IntArrayRef(example_shape()))
    fail(ErrorKind::data, fmt::format("patch_mean: expected a part [{}], got [{}]", fmt::join(example_shape(), ", "),
                                      fmt::join(part_shape, ", ")));
  const int64_t side = options_.image_size / options_.patch_size;
  return {side, side};
}

// [n, 3, side, side] -> [n, squares, hidden_size], in the dtype of `parts`.
at::Tensor PatchMean::forward(const at::Tensor& parts) {
  const int64_t p = options_.patch_size;
  const auto squares =
      parts.unfold(2, p, p).unfold(3, p, p).permute({0, 2, 3, 1, 4, 5});  // [n, rows, columns, 3, p, p]
  return norm_.forward(projection_.forward(squares.flatten(3).flatten(1, 2)));
}

// How a checkpoint calls the parameters; `{}` stands for the same text on both sides.
NameMap PatchMean::name_map() const {
  return {{{"vision.projection.{}", "projection.{}"}, {"vision.norm.{}", "norm.{}"}}, {}};
}

}  // namespace patch_mean

ANTIPHON_PLUGIN(patch_mean, "0.1.0") {
  antiphon::register_component<antiphon::Encoder, patch_mean::PatchMean>(
      registrar, "patch_mean", "one vector for each square of a picture", patch_mean::patch_mean_table());
}
