#include <antiphon/media/image/edge_image.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/image/processor_keys.h>

#include <algorithm>
#include <cmath>

namespace antiphon::media {
namespace {

constexpr int64_t kMostEdge = 16384;

const ForeignKeys& edge_image_keys() {
  static const auto* keys = new ForeignKeys(processor_keys().with(
      {.options = {{"resample", "resample"}, {"image_mean", "mean"}, {"image_std", "std"}},
       .fixed = {{"do_center_crop", {false}},
                 {"crop_size", {}},
                 {"image_processor_type",
                  {"PixtralImageProcessor", "PixtralImageProcessorFast", "PixtralImageProcessorPil"}}},
       // do_pad: pictures of a batch are filled up, and cut again
       .other = {"do_pad", "patch_size", "image_seq_length"}}));
  return *keys;
}

// Of {"height", "width"}, which must be equal; or a number.
int64_t edge_of(const JsonTable& json, const std::string& key, int64_t otherwise) {
  const auto* value = json.find(key);
  if (!value || !value->is_object()) return json.integer(key, otherwise, 1, kMostEdge);
  const auto table = json.table(key);
  const int64_t height = table.integer("height", 0, 1, kMostEdge), width = table.integer("width", 0, 1, kMostEdge);
  if (height == 0 || height != width) json.refuse(key, "an equal \"height\" and \"width\"");
  return height;
}

}  // namespace

// As Python computes it, in double.
Size edge_size(Size picture, int64_t longest_edge, int64_t multiple) {
  const auto height = static_cast<double>(picture.height), width = static_cast<double>(picture.width),
             longest = static_cast<double>(longest_edge);
  const double ratio = std::max({height / longest, width / longest, 1.0});
  const Size fitted{static_cast<int64_t>(std::floor(height / ratio)), static_cast<int64_t>(std::floor(width / ratio))};
  if (picture.height <= 0 || picture.width <= 0 || fitted.height == 0 || fitted.width == 0)
    fail(ErrorKind::data,
         fmt::format("a picture of {} x {} pixels has no pixel left on an edge if the longer one has {}", picture.width,
                     picture.height, longest_edge),
         "crop the picture, or leave it out");
  const auto filled = [&](int64_t edge) { return (edge - 1) / multiple * multiple + multiple; };
  return {filled(fitted.height), filled(fitted.width)};
}

void read_edge_image(const JsonTable& json, int64_t patch_size, const config::Schema& table, EdgeImage& o,
                     void* options) {
  if (!json.exists()) return;
  foreign::read_keys(json, edge_image_keys(), table, options);
  check_rescaled(json);
  if (edge_of(json, "patch_size", patch_size) % patch_size != 0)
    json.refuse("patch_size", fmt::format("{}, as the encoder has it, or squares of those", patch_size));
  const auto size = json.table("size");
  if (size.find("longest_edge"))
    o.longest_edge = size.integer("longest_edge", o.longest_edge, 1, kMostEdge);
  else if (size.exists())
    o.longest_edge = edge_of(json, "size", o.longest_edge);
}

void check_edge_image(const EdgeImage& o, const std::string& plugin) {
  if (o.mean.size() != 3 || o.std.size() != 3)
    fail(ErrorKind::config, plugin + ": mean and std need three values each");
}

at::Tensor edge_part(const MediaItem& item, const EdgeImage& o, int64_t multiple, const std::string& plugin) {
  if (item.modality != Modality::image)
    fail(ErrorKind::data, fmt::format("{} takes images and got {}", plugin, to_string(item.modality)));
  const auto size = edge_size({item.image.height, item.image.width}, o.longest_edge, multiple);
  Normalization normalization;
  std::copy_n(o.mean.begin(), 3, normalization.mean.begin());
  std::copy_n(o.std.begin(), 3, normalization.std.begin());
  return to_tensor(resize(item.image, size, filter_from_number(o.resample)), normalization).unsqueeze(0);
}

}  // namespace antiphon::media
