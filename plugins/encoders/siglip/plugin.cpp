// The vision half of SigLIP (Zhai et al. 2023; transformers: models/siglip/modeling_siglip.py).
#include <antiphon/backbone/vit_encoder.h>
#include <antiphon/backbone/vit_pretrained.h>
#include <antiphon/base/error.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/media/image/image_processor.h>
#include <antiphon/plugin/manifest.h>

#include "attention_pool.h"

namespace antiphon::siglip {

struct SiglipOptions : nn::VitOptions, media::ImageProcessing {
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
    return t;
  }();
  return *table;
}

void SiglipOptions::read_pretrained(const PretrainedConfig& pretrained) {
  static const auto* keys =
      new ForeignKeys(backbone::vit_keys().with({.options = {{"intermediate_size", "intermediate_size"}}}));
  const auto vision = backbone::vision_config(pretrained, "siglip");
  read_keys(vision, *keys, siglip_table(), *this);
  has_head = vision.flag("vision_use_head", true);
  media::read_image_processing(pretrained.preprocessor, "siglip", siglip_table(), *this);
}

class Siglip : public backbone::VitEncoder {
 public:
  explicit Siglip(const SiglipOptions& options)
      : VitEncoder(options, {.plugin = "siglip", .class_token = false}), image_(options) {
    media::check_image_processing(image_, "siglip");
    if (!options.pooled) return;
    if (!options.has_head)
      fail(ErrorKind::weights, "siglip: pooled = true, and the checkpoint has no head (vision_use_head is false)",
           "leave pooled out");
    pool_with(attention_pool(options));
  }
  std::vector<at::Tensor> process(const MediaItem& item) const override {
    return media::process_image(item, image_, "siglip");
  }
  Tiling tiling(const MediaItem& item) const override {
    return media::tiling_of({item.image.height, item.image.width}, image_);
  }
  std::vector<int64_t> example_shape() const override { return {3, image_.input_size, image_.input_size}; }
  NameMap name_map() const override;

 private:
  media::ImageProcessing image_;
};

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
