// The vision half of SigLIP (Zhai et al. 2023; transformers: models/siglip/modeling_siglip.py).
#include <antiphon/backbone/vit_encoder.h>
#include <antiphon/backbone/vit_pretrained.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/media/image/image_processor.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::siglip {

struct SiglipOptions : nn::VitOptions, media::ImageProcessing {
  SiglipOptions() {
    activation = "gelu_pytorch_tanh";
    fit = "stretch", mean = {0.5, 0.5, 0.5}, std = {0.5, 0.5, 0.5};
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<SiglipOptions>& siglip_table() {
  static const auto* table = [] {
    auto* t = new config::Table<SiglipOptions>("siglip");
    backbone::add_vit_fields(*t, /*class_token=*/false);
    media::add_image_fields(*t);
    return t;
  }();
  return *table;
}

void SiglipOptions::read_pretrained(const PretrainedConfig& pretrained) {
  static const auto* keys =
      new ForeignKeys(backbone::vit_keys().with({.options = {{"intermediate_size", "intermediate_size"}}}));
  read_keys(backbone::vision_config(pretrained, "siglip"), *keys, siglip_table(), *this);
  media::read_image_processing(pretrained.preprocessor, "siglip", siglip_table(), *this);
}

class Siglip : public backbone::VitEncoder {
 public:
  explicit Siglip(const SiglipOptions& options)
      : VitEncoder(options, {.plugin = "siglip", .class_token = false}), image_(options) {
    media::check_image_processing(image_, "siglip");
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
  return backbone::clip_names(vit(), {{"post_layernorm.{}", "norm.{}"}},
                              {"head.*", "vision_model.head.*", "text_model.*", "logit_scale", "logit_bias"});
}

}  // namespace antiphon::siglip

ANTIPHON_PLUGIN(siglip, "0.1.0") {
  using namespace antiphon::siglip;
  antiphon::register_component<antiphon::Encoder, Siglip>(registrar, "siglip", "the vision half of SigLIP",
                                                          siglip_table());
}
