// The vision half of CLIP (Radford et al. 2021; transformers: models/clip/modeling_clip.py).
#include <antiphon/component/register.h>
#include <antiphon/media/image_processor.h>
#include <antiphon/nn/vit.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::clip {

struct ClipOptions : nn::VitOptions, media::ImageProcessing {
  ClipOptions() {
    patch_size = 32, layer_norm_eps = 1e-5, activation = "quick_gelu";
    mean = {0.48145466, 0.4578275, 0.40821073}, std = {0.26862954, 0.26130258, 0.27577711};
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

// A directory of the whole model (picture and text), or of the picture's half alone.
void ClipOptions::read_pretrained(const PretrainedConfig& pretrained) {
  PretrainedConfig own = pretrained;
  if (const auto half = pretrained.config.find("vision_config"); half != pretrained.config.end()) {
    expect_model_type(pretrained, "clip", "clip");
    own.config = *half;
  } else {
    expect_model_type(pretrained, "clip", "clip_vision_model");
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
  media::read_image_processing(pretrained.preprocessor, "clip", *this);
}

const config::Table<ClipOptions>& clip_table() {
  static const auto* table = [] {
    auto* t = new config::Table<ClipOptions>("clip");
    nn::add_vit_fields(*t, /*class_token=*/true);
    media::add_image_fields(*t);
    return t;
  }();
  return *table;
}

class Clip : public nn::VitEncoder {
 public:
  explicit Clip(const ClipOptions& options)
      : VitEncoder(options, {.plugin = "clip", .patch_bias = false, .pre_norm = true, .final_norm = false}),
        image_(options) {
    media::check_image_processing(image_, "clip");
  }
  std::vector<at::Tensor> process(const MediaItem& item) const override {
    return media::process_image(item, image_, "clip");
  }
  Tiling tiling(const MediaItem& item) const override {
    return media::tiling_of({item.image.height, item.image.width}, image_);
  }
  std::vector<int64_t> example_shape() const override { return {3, image_.input_size, image_.input_size}; }
  NameMap name_map() const override;

 private:
  media::ImageProcessing image_;
};

NameMap Clip::name_map() const {
  NameMap map;
  for (const std::string prefix : {"", "vision_model."}) {  // of transformers 5, of 4
    const std::vector<NameRule> rules{{"embeddings.class_embedding", "cls_token"},
                                      {"embeddings.patch_embedding.{}", "patch_projection.{}"},
                                      {"embeddings.position_embedding.weight", "position_embeddings"},
                                      {"encoder.layers.{}.layer_norm{}", "layers.{}.norm{}"},
                                      {"encoder.layers.{}.self_attn.out_proj.{}", "layers.{}.self_attn.o_proj.{}"},
                                      {"encoder.layers.{}.self_attn.{}", "layers.{}.self_attn.{}"},
                                      {"encoder.layers.{}.mlp.{}", "layers.{}.mlp.{}"},
                                      {"pre_layrnorm.{}", "pre_norm.{}"}};
    for (const auto& rule : rules) map.rules.push_back({prefix + rule.checkpoint, rule.parameter});
    for (const auto& name : vit().unused("encoder.layers.{}.*", "post_layernorm.*"))
      map.ignored.push_back(prefix + name);
    map.ignored.push_back(prefix + "embeddings.position_ids");
  }
  map.ignored.insert(map.ignored.end(), {"text_model.*", "visual_projection.*", "text_projection.*", "logit_scale"});
  return map;
}

}  // namespace antiphon::clip

ANTIPHON_PLUGIN(clip, "0.1.0") {
  using namespace antiphon::clip;
  antiphon::register_encoder<Clip>(registrar, "clip", "the vision half of CLIP", clip_table());
}
