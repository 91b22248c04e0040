#include <fmt/format.h>

#include <cmath>

#include "dinov2.h"

namespace antiphon::dinov2 {
namespace {

// One edge of a square given as {"height", "width"}.
int64_t square_edge(const nlohmann::json& size, const char* key) {
  int64_t height = 0, width = 0;
  take(size, "height", height), take(size, "width", width);
  if (height != width)
    fail(ErrorKind::weights,
         fmt::format("preprocessor_config.json has a {} of {} x {}; the plugin dinov2 makes squares", key, height,
                     width));
  return height;
}

// json[key], or `otherwise` where it is absent or null.
template <class T>
T taken(const nlohmann::json& json, const char* key, T otherwise) {
  take(json, key, otherwise);
  return otherwise;
}

// Steps that this processor always takes, and takes as they are.
void check_steps(const nlohmann::json& json) {
  for (const char* key : {"do_resize", "do_rescale", "do_normalize"})
    if (!taken(json, key, true))
      fail(ErrorKind::weights,
           fmt::format("preprocessor_config.json has {} = false, which the plugin dinov2 does not support", key));
  if (const double factor = taken(json, "rescale_factor", 1.0 / 255.0); std::abs(factor * 255.0 - 1.0) > 1e-6)
    fail(ErrorKind::weights,
         fmt::format("preprocessor_config.json has rescale_factor = {}; the plugin dinov2 divides by 255", factor));
}

// As BitImageProcessor and ViTImageProcessor of transformers read it.
void read_preprocessor(const nlohmann::json& json, Dinov2Options& o) {
  if (json.is_null()) return;
  check_steps(json);
  const auto size = json.find("size"), crop = json.find("crop_size");
  const bool crops = taken(json, "do_center_crop", crop != json.end());
  if (size != json.end() && size->is_object() && size->contains("height")) {
    const int64_t edge = square_edge(*size, "size");
    o.fit = "stretch", o.input_size = edge;
    if (crops)
      fail(ErrorKind::weights,
           "preprocessor_config.json stretches the picture to a square and then crops it, which the plugin dinov2 does "
           "not support");
  } else if (size != json.end() && size->is_object()) {
    take(*size, "shortest_edge", o.shortest_edge);
    if (!crops)
      fail(ErrorKind::weights,
           "preprocessor_config.json keeps the picture's shape (do_center_crop = false); the plugin dinov2 makes "
           "squares");
  }
  if (crops && crop != json.end() && crop->is_object()) o.input_size = square_edge(*crop, "crop_size");
  take(json, "resample", o.resample);
  take(json, "image_mean", o.mean);
  take(json, "image_std", o.std);
}

}  // namespace

void Dinov2Options::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  expect_model_type(pretrained, "dinov2", "dinov2");
  if (taken(json, "use_swiglu_ffn", false))
    fail(ErrorKind::weights,
         "config.json has use_swiglu_ffn; the plugin dinov2 has the plain MLP (sizes S, B and L) only");
  take(json, "hidden_size", hidden_size);
  take(json, "num_hidden_layers", num_layers);
  take(json, "num_attention_heads", num_heads);
  take(json, "mlp_ratio", mlp_ratio);
  take(json, "image_size", image_size);
  take(json, "patch_size", patch_size);
  take(json, "layer_norm_eps", layer_norm_eps);
  take(json, "hidden_act", activation);
  read_preprocessor(pretrained.preprocessor, *this);
}

const config::Table<Dinov2Options>& dinov2_table() {
  using O = Dinov2Options;
  static const auto* table = new config::Table<O>(
      config::Table<O>("dinov2")
          .field("hidden_size", &O::hidden_size, "width", {.min = 1})
          .field("num_layers", &O::num_layers, "blocks of the checkpoint", {.min = 1, .max = 1000})
          .field("num_heads", &O::num_heads, "attention heads", {.min = 1})
          .field("mlp_ratio", &O::mlp_ratio, "width of the MLP in units of hidden_size", {.min = 1})
          .field("image_size", &O::image_size, "picture size of the position table, pixels", {.min = 1})
          .field("patch_size", &O::patch_size, "pixels", {.min = 1})
          .field("layer_norm_eps", &O::layer_norm_eps, "epsilon of the norms", {.min = 0})
          .field("activation", &O::activation, "of the MLP")
          .field("layer", &O::layer,
                 "feature layer: -1 is the last with the final norm, -2 the output of the block before, without it; 0 "
                 "the patch embedding, n block n")
          .field("class_token", &O::class_token, "keep the class token as the first vector")
          .field("fit", &O::fit,
                 "crop: shortest edge, then the middle; stretch: to the square; pad: whole picture on white",
                 {.choices = {"crop", "stretch", "pad"}})
          .field("shortest_edge", &O::shortest_edge, "fit = crop: shorter edge before cropping, pixels",
                 {.min = 1, .max = 16384})
          .field("input_size", &O::input_size, "edge of the square that the encoder sees, pixels",
                 {.min = 1, .max = 16384})
          .field("resample", &O::resample,
                 "Pillow's filter number: 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming",
                 {.min = 0, .max = 5})
          .field("mean", &O::mean, "subtracted from each channel, of 1")
          .field("std", &O::std, "divides each channel, of 1"));
  return *table;
}

}  // namespace antiphon::dinov2
