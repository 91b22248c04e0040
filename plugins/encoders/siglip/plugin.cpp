// The vision half of SigLIP (Zhai et al. 2023; transformers: models/siglip/modeling_siglip.py).
#include <ATen/ATen.h>

#include <antiphon/backbone/vit_encoder.h>
#include <antiphon/backbone/vit_pretrained.h>
#include <antiphon/base/error.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/media/image/image_processor.h>
#include <antiphon/plugin/manifest.h>

#include "attention_pool.h"
#include "scales.h"

#include <algorithm>

namespace antiphon::siglip {

struct SiglipOptions : nn::VitOptions, media::ImageProcessing {
  std::vector<int64_t> s2_scales;

  SiglipOptions() {
    activation = "gelu_pytorch_tanh";
    fit = "stretch", mean = {0.5, 0.5, 0.5}, std = {0.5, 0.5, 0.5};
  }
  bool pooled = false;
  bool has_head = true;  // of the checkpoint
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<SiglipOptions>& siglip_table() {
  static const auto* table = [] {
    auto* t = new config::Table<SiglipOptions>("siglip");
    backbone::add_vit_fields(*t, /*class_token=*/false)
        .field("pooled", &SiglipOptions::pooled,
               "one vector a picture: the attention pooling that SigLIP compares with texts");
    media::add_image_fields(*t);
    t->field(
        "s2_scales", &SiglipOptions::s2_scales,
        "edges of the scales, pixels, at which a picture is seen and whose features are joined (NVILA), [448, 896, "
        "1344]: input_size and rising multiples; the last is cut by max_tiles; empty: one scale",
        {.min = 1, .max = 16384});
    return t;
  }();
  return *table;
}

void SiglipOptions::read_pretrained(const PretrainedConfig& pretrained) {
  static const auto* keys =
      new ForeignKeys(backbone::vit_keys().with({.options = {{"intermediate_size", "intermediate_size"}}}));
  const auto vision = backbone::half_config(pretrained, "siglip", "siglip", "vision");
  read_keys(vision, *keys, siglip_table(), *this);
  has_head = vision.flag("vision_use_head", true);
  media::read_image_processing(pretrained.preprocessor, "siglip", siglip_table(), *this);
}

class Siglip : public backbone::VitEncoder {
 public:
  explicit Siglip(const SiglipOptions& options)
      : VitEncoder(options, {.plugin = "siglip", .class_token = false}),
        image_(options),
        scales_(options.s2_scales, options) {
    media::check_image_processing(image_, "siglip");
    media::check_patch(image_, options.patch_size, "siglip");
    if (!options.pooled) return;
    if (scales_.count() > 0)
      fail(ErrorKind::config, "siglip: pooled = true and s2_scales: one vector of a picture has one scale",
           "leave one of them out");
    if (!options.has_head)
      fail(ErrorKind::weights, "siglip: pooled = true, and the checkpoint has no head (vision_use_head is false)",
           "leave pooled out");
    pool_with(attention_pool(options));
  }
  int64_t output_size() const override { return VitEncoder::output_size() * std::max<int64_t>(1, scales_.count()); }
  std::vector<at::Tensor> process(const MediaItem& item) const override {
    if (scales_.count() == 0 || item.modality != Modality::image) return media::process_image(item, image_, "siglip");
    return {scales_.process(item, image_)};
  }
  Tiling tiling(const MediaItem& item) const override {
    return media::tiling_of({item.image.height, item.image.width}, image_);
  }
  std::vector<int64_t> example_shape() const override {
    if (scales_.count() > 0) return scales_.example_shape();
    return {3, image_.input_size, image_.input_size};
  }
  TokenGrid output_grid(at::IntArrayRef part_shape) const override;
  at::Tensor forward(const at::Tensor& parts) override;
  NameMap name_map() const override;

 private:
  media::ImageProcessing image_;
  Scales scales_;
};

TokenGrid Siglip::output_grid(at::IntArrayRef part_shape) const {
  if (scales_.count() == 0) return VitEncoder::output_grid(part_shape);
  const auto squares = scales_.squares(part_shape);
  const auto one = VitEncoder::output_grid(part_shape.slice(2));
  return {squares.rows * one.rows, squares.columns * one.columns};
}

at::Tensor Siglip::forward(const at::Tensor& parts) {
  if (scales_.count() == 0) return VitEncoder::forward(parts);
  const auto tiles = scales_.tiles(parts);
  const auto features = VitEncoder::forward(tiles.flatten(0, 1));
  return scales_.joined(features.unflatten(0, {tiles.size(0), tiles.size(1)}), scales_.squares(parts.sizes().slice(1)));
}

NameMap Siglip::name_map() const {
  std::vector<NameRule> own{{"post_layernorm.{}", "norm.{}"}};
  std::vector<std::string> ignored{"text_model.*", "logit_scale", "logit_bias"};
  if (vit().pool())
    for (const auto& rule : {NameRule{"head.layernorm.{}", "pool.norm.{}"}, NameRule{"head.mlp.{}", "pool.mlp.{}"},
                             NameRule{"head.probe", "pool.probe"}, NameRule{"head.attention.{}", "pool.{}"}})
      own.push_back(rule);
  else
    for (const auto* names : {"head.*", "vision_model.head.*"}) ignored.emplace_back(names);
  return backbone::clip_names(vit(), own, ignored);
}

}  // namespace antiphon::siglip

ANTIPHON_PLUGIN(siglip, "0.1.0") {
  using namespace antiphon::siglip;
  antiphon::register_component<antiphon::Encoder, Siglip>(registrar, "siglip", "the vision half of SigLIP",
                                                          siglip_table());
}
