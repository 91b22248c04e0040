// preprocessor_config.json -> ImageProcessing.
#include <fmt/format.h>

#include <antiphon/media/image/image_processor.h>
#include <antiphon/media/image/processor_keys.h>

#include <cmath>

namespace antiphon::media {
namespace {

constexpr int64_t kMostPixels = 16384;

// One edge of a square given as {"height", "width"}.
int64_t square_edge(const JsonTable& json, const std::string& key, const std::string& plugin) {
  const auto size = json.table(key);
  const auto edge = [&](const char* side) { return size.integer(side, 0, 1, kMostPixels); };
  const int64_t height = edge("height"), width = edge("width");
  if (height != width || height == 0)
    json.refuse(key, fmt::format("a square of {{\"height\", \"width\"}}, as the plugin {} makes them", plugin));
  return height;
}

// Sizes are numbers in old files, tables in newer ones.
JsonTable with_tables(JsonTable json) {
  const auto edge = [&](const char* key) { return json.integer(key, 0, 1, kMostPixels); };
  if (const auto* size = json.find("size"); size && !size->is_object())
    json = json.with("size", {{"shortest_edge", edge("size")}});
  if (const auto* crop = json.find("crop_size"); crop && !crop->is_object())
    json = json.with("crop_size", {{"height", edge("crop_size")}, {"width", edge("crop_size")}});
  return json;
}

// Steps that this processor always performs, with fixed settings.
const ForeignKeys& image_keys() {
  static const auto* keys = new ForeignKeys(processor_keys().with(
      {.options = {{"resample", "resample"},
                   {"image_mean", "mean"},
                   {"image_std", "std"},
                   {"min_patches", "min_tiles"},
                   {"max_patches", "max_tiles"}},
       .fixed = {{"use_square_size", {false}},
                 {"do_thumbnail", {false}},
                 {"do_align_long_axis", {false}},
                 {"do_reduce_labels", {false}},
                 {"do_flip_channel_order", {false}},
                 {"do_color_quantize", {false}},
                 {"crop_pct", {}},
                 {"do_pan_and_scan", {false}, "crops of pictures that are much longer than wide are not cut out"},
                 {"image_processor_type",
                  {"CLIPImageProcessor",      "CLIPImageProcessorFast",      "CLIPImageProcessorPil",
                   "SiglipImageProcessor",    "SiglipImageProcessorFast",    "SiglipImageProcessorPil",
                   "BitImageProcessor",       "BitImageProcessorFast",       "BitImageProcessorPil",
                   "ViTImageProcessor",       "ViTImageProcessorFast",       "ViTImageProcessorPil",
                   "LlavaImageProcessor",     "LlavaImageProcessorFast",     "LlavaImageProcessorPil",
                   "LlavaNextImageProcessor", "LlavaNextImageProcessorFast", "LlavaNextImageProcessorPil",
                   "Gemma3ImageProcessor",    "Gemma3ImageProcessorFast",    "Gemma3ImageProcessorPil",
                   "GotOcr2ImageProcessor",   "GotOcr2ImageProcessorFast",   "GotOcr2ImageProcessorPil"}}},
       // How transformers runs; settings of combined processors that concern the text, and one that InternVLProcessor
       // overrules.
       .other = {"crop_to_patches", "do_pad", "crop_size", "do_center_crop", "image_grid_pinpoints",
                 "feature_extractor_type", "image_seq_length", "aspect_ratio_setting", "pan_and_scan_min_crop_size",
                 "pan_and_scan_max_num_crops", "pan_and_scan_min_ratio_to_activate"}}));
  return *keys;
}

void check_steps(const JsonTable& json, const std::string& plugin) {
  if (const double factor = json.number("rescale_factor", 1.0 / 255.0, 0, 1e6); std::abs(factor * 255.0 - 1.0) > 1e-6)
    json.refuse("rescale_factor", fmt::format("1 / 255, which the plugin {} has", plugin));
  if (json.flag("do_pad", false) && !json.find("image_grid_pinpoints"))
    json.refuse("do_pad", "false",
                "remove the key and set fit = \"pad\" (white) in the configuration, if that is meant");
}

void read_fit(const JsonTable& json, const std::string& plugin, ImageProcessing& o) {
  const auto size = json.table("size");
  const bool has_crop = json.table("crop_size").exists();
  const bool crops = json.flag("do_center_crop", has_crop);
  if (size.find("height")) {
    o.fit = "stretch", o.input_size = square_edge(json, "size", plugin);
    if (crops)
      json.refuse("do_center_crop",
                  fmt::format("false if the size is a square, to which the plugin {} stretches the picture", plugin));
  } else if (size.exists()) {
    o.fit = "crop";
    o.shortest_edge = size.integer("shortest_edge", o.shortest_edge, 1, kMostPixels);
    if (!crops)
      json.refuse("do_center_crop",
                  fmt::format("true: with false the picture keeps its shape, and the plugin {} makes squares", plugin));
  }
  if (crops && has_crop) o.input_size = square_edge(json, "crop_size", plugin);
}

void read_tiles(const JsonTable& json, const std::string& plugin, ImageProcessing& o) {
  const auto sizes = json.sizes("image_grid_pinpoints");
  if (sizes.empty()) return;
  if (o.fit == "crop" && o.shortest_edge != o.input_size)
    json.refuse("size", fmt::format("a shorter edge of {}, as crop_size: the plugin {} takes whole tiles", o.input_size,
                                    plugin));
  o.tile_resolutions = sizes;
}

}  // namespace

void read_image_processing(const JsonTable& preprocessor, const std::string& plugin, const config::Schema& table,
                           ImageProcessing& o, void* options) {
  if (!preprocessor.exists()) return;
  const auto json = with_tables(preprocessor);
  foreign::read_keys(json, image_keys(), table, options);
  check_steps(json, plugin);
  read_fit(json, plugin, o);
  read_tiles(json, plugin, o);
}

}  // namespace antiphon::media
