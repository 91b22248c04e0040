// The vision half of SigLIP (Zhai et al. 2023; transformers: models/siglip/modeling_siglip.py).
#include <antiphon/component/register.h>
#include <antiphon/media/image_processor.h>
#include <antiphon/nn/vit.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::siglip {

struct SiglipOptions : nn::VitOptions, media::ImageProcessing {
  SiglipOptions() {
    activation = "gelu_pytorch_tanh";
    fit = "stretch", mean = {0.5, 0.5, 0.5}, std = {0.5, 0.5, 0.5};
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

// A directory of the whole model (picture and text), or of the picture's half alone.
void SiglipOptions::read_pretrained(const PretrainedConfig& pretrained) {
  PretrainedConfig own = pretrained;
  if (const auto half = pretrained.config.find("vision_config"); half != pretrained.config.end()) {
    expect_model_type(pretrained, "siglip", "siglip");
    own.config = *half;
  } else {
    expect_model_type(pretrained, "siglip", "siglip_vision_model");
  }
  const auto& json = own.config;
  take(json, "hidden_size", hidden_size);
  take(json, "intermediate_size", intermediate_size);
  take(json, "num_hidden_layers", num_layers);
  take(json, "num_attention_heads", num_heads);
  take(json, "image_size", image_size);
  take(json, "patch_size", patch_size);
  take(json, "layer_norm_eps", layer_norm_eps);
  take(json, "hidden_act", activation);
  media::read_image_processing(pretrained.preprocessor, "siglip", *this);
}

const config::Table<SiglipOptions>& siglip_table() {
  static const auto* table = [] {
    auto* t = new config::Table<SiglipOptions>("siglip");
    nn::add_vit_fields(*t, /*class_token=*/false);
    media::add_image_fields(*t);
    return t;
  }();
  return *table;
}

class Siglip : public nn::VitEncoder {
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
  NameMap map;
  for (const std::string prefix : {"", "vision_model."}) {  // of transformers 5, of 4
    const std::vector<NameRule> rules{{"embeddings.patch_embedding.{}", "patch_projection.{}"},
                                      {"embeddings.position_embedding.weight", "position_embeddings"},
                                      {"encoder.layers.{}.layer_norm{}", "layers.{}.norm{}"},
                                      {"encoder.layers.{}.self_attn.out_proj.{}", "layers.{}.self_attn.o_proj.{}"},
                                      {"encoder.layers.{}.self_attn.{}", "layers.{}.self_attn.{}"},
                                      {"encoder.layers.{}.mlp.{}", "layers.{}.mlp.{}"},
                                      {"post_layernorm.{}", "norm.{}"}};
    for (const auto& rule : rules) map.rules.push_back({prefix + rule.checkpoint, rule.parameter});
    for (const auto& name : vit().unused("encoder.layers.{}.*", "post_layernorm.*"))
      map.ignored.push_back(prefix + name);
    map.ignored.push_back(prefix + "embeddings.position_ids");
    map.ignored.push_back(prefix + "head.*");
  }
  map.ignored.insert(map.ignored.end(), {"text_model.*", "logit_scale", "logit_bias"});
  return map;
}

}  // namespace antiphon::siglip

ANTIPHON_PLUGIN(siglip, "0.1.0") {
  using namespace antiphon::siglip;
  antiphon::register_encoder<Siglip>(registrar, "siglip", "the vision half of SigLIP", siglip_table());
}
