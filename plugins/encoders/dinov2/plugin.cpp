// DINOv2 vision transformers (Oquab et al. 2023; transformers: models/dinov2/modeling_dinov2.py).
#include <antiphon/backbone/vit_encoder.h>
#include <antiphon/backbone/vit_pretrained.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/media/image/image_processor.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::dinov2 {

struct Dinov2Options : nn::VitOptions, media::ImageProcessing {
  Dinov2Options() { patch_size = 14, shortest_edge = 256; }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<Dinov2Options>& dinov2_table() {
  static const auto* table = [] {
    auto* t = new config::Table<Dinov2Options>("dinov2");
    backbone::add_vit_fields(*t, /*class_token=*/true);
    media::add_image_fields(*t);
    return t;
  }();
  return *table;
}

// Keys of backbones, heads and of training with masked patches are without effect on the features.
void Dinov2Options::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  static const auto* keys = new ForeignKeys(backbone::vit_keys().with(
      {.fixed = {{"use_swiglu_ffn", {false}, "the plugin has the plain MLP (sizes S, B and L) only"},
                 {"qkv_bias", {true}}},
       .training = {"hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate"},
       .other = {"mlp_ratio", "layerscale_value", "apply_layernorm", "reshape_hidden_states", "use_mask_token",
                 "stage_names", "out_features", "out_indices"}}));
  expect_model_type(pretrained, "dinov2", "dinov2");
  read_keys(json, *keys, dinov2_table(), *this);
  intermediate_size = static_cast<int64_t>(static_cast<double>(hidden_size) * json.number("mlp_ratio", 4, 1e-3, 64));
  media::read_image_processing(pretrained.preprocessor, "dinov2", dinov2_table(), *this);
}

class Dinov2 : public backbone::VitEncoder {
 public:
  explicit Dinov2(const Dinov2Options& options)
      : VitEncoder(options, {.plugin = "dinov2", .layer_scale = true, .batched_tables = true}), image_(options) {
    media::check_image_processing(image_, "dinov2");
    media::check_patch(image_, options.patch_size, "dinov2");
  }
  std::vector<at::Tensor> process(const MediaItem& item) const override {
    return media::process_image(item, image_, "dinov2");
  }
  Tiling tiling(const MediaItem& item) const override {
    return media::tiling_of({item.image.height, item.image.width}, image_);
  }
  std::vector<int64_t> example_shape() const override { return {3, image_.input_size, image_.input_size}; }
  NameMap name_map() const override;

 private:
  media::ImageProcessing image_;
};

NameMap Dinov2::name_map() const {
  NameMap map;
  map.rules = {{"embeddings.cls_token", "cls_token"},
               {"embeddings.position_embeddings", "position_embeddings"},
               {"embeddings.patch_embeddings.projection.{}", "patch_projection.{}"},
               {"encoder.layer.{}.norm{}", "layers.{}.norm{}"},
               {"encoder.layer.{}.layer_scale{}.lambda1", "layers.{}.layer_scale{}"},
               {"encoder.layer.{}.attention.attention.query.{}", "layers.{}.self_attn.q_proj.{}"},
               {"encoder.layer.{}.attention.attention.key.{}", "layers.{}.self_attn.k_proj.{}"},
               {"encoder.layer.{}.attention.attention.value.{}", "layers.{}.self_attn.v_proj.{}"},
               {"encoder.layer.{}.attention.output.dense.{}", "layers.{}.self_attn.o_proj.{}"},
               {"encoder.layer.{}.attention.{}", "layers.{}.self_attn.{}"},
               {"encoder.layer.{}.mlp.{}", "layers.{}.mlp.{}"},
               {"layernorm.{}", "norm.{}"}};
  map.ignored = vit().unused("encoder.layer.{}.*", "layernorm.*");
  map.ignored.push_back("embeddings.mask_token");
  return map;
}

}  // namespace antiphon::dinov2

ANTIPHON_PLUGIN(dinov2, "0.1.0") {
  using namespace antiphon::dinov2;
  antiphon::register_component<antiphon::Encoder, Dinov2>(registrar, "dinov2", "DINOv2 vision transformers (S, B, L)",
                                                          dinov2_table());
}
