// InternViT, the vision transformers of InternVL (Chen et al. 2023, 2024; transformers: models/internvl; remote code:
// OpenGVLab/InternVL, internvl_chat/internvl/model/internvl_chat/modeling_intern_vit.py): 300M with layer norms, and 6B
// with RMS norms, also of queries and keys.
#include <fmt/format.h>

#include <antiphon/backbone/vit_encoder.h>
#include <antiphon/backbone/vit_pretrained.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/media/image/image_processor.h>
#include <antiphon/media/image/processor_keys.h>
#include <antiphon/plugin/manifest.h>

#include "frames.h"

namespace antiphon::internvit {

constexpr const char* kRemote = "intern_vit_6b";  // model_type of the remote code, whatever the size

struct InternVitOptions : nn::VitOptions, media::ImageProcessing {
  std::string norm = "layer_norm";
  bool attention_bias = false, fused_qkv = false, qk_norm = false, final_norm = false;
  double qk_norm_eps = 1e-6;
  int64_t video_frames = 8;

  InternVitOptions() {
    hidden_size = 1024, intermediate_size = 4096, num_layers = 24, num_heads = 16, image_size = 448, patch_size = 14;
    fit = "stretch", input_size = 448;
  }
  void read_pretrained(const PretrainedConfig& pretrained);
  void read_tower(const JsonTable& json);
  void read_remote_tower(const JsonTable& json);
  void read_video(const JsonTable& json);
  nn::VitKind kind() const;
};

const config::Table<InternVitOptions>& internvit_table() {
  using O = InternVitOptions;
  static const auto* table = [] {
    auto* t = new config::Table<O>("internvit");
    backbone::add_vit_fields(*t, /*class_token=*/true);
    t->field("norm", &O::norm, "of the blocks", {.choices = {"layer_norm", "rms_norm"}})
        .field("attention_bias", &O::attention_bias, "biases of queries, keys and values")
        .field("fused_qkv", &O::fused_qkv, "queries, keys and values by one layer, as in files of the remote code")
        .field("qk_norm", &O::qk_norm, "RMS norm of queries and of keys, all heads together")
        .field("qk_norm_eps", &O::qk_norm_eps, "its epsilon", {.min = 0, .max = 1, .above_min = true})
        .field("final_norm", &O::final_norm, "a layer norm after the last block")
        .field("video_frames", &O::video_frames, "of a video, spread over it, a picture each", {.min = 1, .max = 4096});
    media::add_image_fields(*t);
    return t;
  }();
  return *table;
}

// Edges are numbers, or pairs of equal ones.
JsonTable with_edges(JsonTable json) {
  for (const char* key : {"image_size", "patch_size"}) {
    const auto* size = json.find(key);
    if (!size || !size->is_array()) continue;
    if (size->size() != 2 || size->at(0) != size->at(1)) json.refuse(key, "a number, or two equal ones");
    json = json.with(key, nlohmann::json(size->at(0)));
  }
  return json;
}

void InternVitOptions::read_tower(const JsonTable& json) {
  static const auto* keys = new ForeignKeys(
      backbone::vit_keys().with({.options = {{"intermediate_size", "intermediate_size"},
                                             {"norm_type", "norm"},
                                             {"attention_bias", "attention_bias"},
                                             {"use_qk_norm", "qk_norm"}},
                                 .fixed = {{"use_absolute_position_embeddings", {true}}},
                                 .training = {"hidden_dropout_prob", "projection_dropout"},
                                 .other = {"use_mean_pooling", "use_mask_token", "layer_scale_init_value"}}));
  read_keys(json, *keys, internvit_table(), *this);
  final_norm = !json.flag("use_mean_pooling", true);
}

void InternVitOptions::read_remote_tower(const JsonTable& json) {
  static const auto* keys =
      new ForeignKeys(backbone::vit_keys().with({.options = {{"intermediate_size", "intermediate_size"},
                                                             {"norm_type", "norm"},
                                                             {"qkv_bias", "attention_bias"},
                                                             {"qk_normalization", "qk_norm"}},
                                                 .training = {"drop_path_rate"},
                                                 .other = {"use_flash_attn", "initializer_factor"}}));
  hidden_size = 3200, intermediate_size = 12800, num_layers = 48, num_heads = 25, image_size = 224;
  norm = "rms_norm", qk_norm = true, fused_qkv = true;
  read_keys(json, *keys, internvit_table(), *this);
  qk_norm_eps = layer_norm_eps;
}

// Frames are processed as pictures are.
void InternVitOptions::read_video(const JsonTable& json) {
  if (!json.exists()) return;
  const std::string same = "pictures and videos go through one encoder: give both the same";
  const ForeignKeys keys = media::processor_keys().with(
      {.options = {{"num_frames", "video_frames"}},
       .fixed = {{"do_center_crop", {false}},
                 {"do_pad", {false}},
                 {"crop_size", {}},
                 {"fps", {}, "set frames_per_second under [data.video] in the configuration"},
                 {"initial_shift", {true}},
                 {"resample", {resample}, same},
                 {"image_mean", {mean}, same},
                 {"image_std", {std}, same},
                 {"video_processor_type", {"InternVLVideoProcessor"}}},
       .other = {"do_sample_frames", "return_metadata", "image_processor_type", "video_metadata"}});
  read_keys(json, keys, internvit_table(), *this);
  media::check_rescaled(json);
  const auto size = json.table("size");
  for (const char* edge : {"height", "width"})
    if (size.integer(edge, input_size, 1, 1 << 14) != input_size)
      size.refuse(edge, fmt::format("{}, as that of pictures", input_size), same);
}

void InternVitOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto json = with_edges(pretrained.config);
  if (json.text("model_type", "") == kRemote) {
    read_remote_tower(json);
  } else {
    expect_model_type(pretrained, "internvit", "internvl_vision");
    read_tower(json);
  }
  if (pretrained.preprocessor.text("image_processor_type", "").starts_with("GotOcr2")) max_tiles = 12;
  media::read_image_processing(pretrained.preprocessor, "internvit", internvit_table(), *this);
  read_video(pretrained.video_preprocessor);
}

nn::VitKind InternVitOptions::kind() const {
  nn::VitKind kind;
  kind.plugin = "internvit", kind.final_norm = final_norm, kind.layer_scale = true, kind.batched_tables = true;
  kind.norm = norm == "rms_norm" ? nn::NormKind::rms : nn::NormKind::layer;
  kind.qkv_bias = attention_bias, kind.fused_qkv = fused_qkv, kind.qk_norm_eps = qk_norm ? qk_norm_eps : 0;
  return kind;
}

class InternVit : public backbone::VitEncoder {
 public:
  explicit InternVit(const InternVitOptions& options)
      : VitEncoder(options, options.kind()),
        image_(options),
        fused_(options.fused_qkv),
        video_(options.video_frames, options.input_size, options.resample) {
    media::check_image_processing(image_, "internvit");
    media::check_patch(image_, options.patch_size, "internvit");
  }
  std::vector<at::Tensor> process(const MediaItem& item) const override;
  Tiling tiling(const MediaItem& item) const override {
    return media::tiling_of({item.image.height, item.image.width}, image_);
  }
  const VideoRule* video() const override { return &video_; }
  std::vector<int64_t> example_shape() const override { return {3, image_.input_size, image_.input_size}; }
  NameMap name_map() const override { return fused_ ? remote_names() : names(); }

 private:
  NameMap names() const;
  NameMap remote_names() const;
  media::ImageProcessing image_;
  bool fused_;
  SpreadFrames video_;
};

// Frames are not cut into tiles.
std::vector<at::Tensor> InternVit::process(const MediaItem& item) const {
  if (item.modality != Modality::video) return media::process_image(item, image_, "internvit");
  auto whole = image_;
  whole.max_tiles = 0, whole.tile_resolutions.clear();
  std::vector<at::Tensor> parts;
  for (const auto& frame : item.video.images)
    parts.push_back(media::process_image({Modality::image, frame, {}}, whole, "internvit").front());
  if (parts.empty()) fail(ErrorKind::data, "internvit: a video without frames");
  return parts;
}

NameMap InternVit::names() const {
  NameMap map;
  map.rules = {{"embeddings.cls_token", "cls_token"},
               {"embeddings.position_embeddings", "position_embeddings"},
               {"embeddings.patch_embeddings.projection.{}", "patch_projection.{}"},
               {"encoder.layer.{}.layernorm_before.{}", "layers.{}.norm1.{}"},
               {"encoder.layer.{}.layernorm_after.{}", "layers.{}.norm2.{}"},
               {"encoder.layer.{}.lambda_{}", "layers.{}.layer_scale{}"},
               {"encoder.layer.{}.attention.projection_layer.{}", "layers.{}.self_attn.o_proj.{}"},
               {"encoder.layer.{}.attention.{}", "layers.{}.self_attn.{}"},
               {"encoder.layer.{}.mlp.{}", "layers.{}.mlp.{}"},
               {"layernorm.{}", "norm.{}"}};
  map.ignored = vit().unused("encoder.layer.{}.*", "layernorm.*");
  map.ignored.push_back("embeddings.mask_token");
  return map;
}

NameMap InternVit::remote_names() const {
  NameMap map;
  map.rules = {{"embeddings.class_embedding", "cls_token"},
               {"embeddings.position_embedding", "position_embeddings"},
               {"embeddings.patch_embedding.{}", "patch_projection.{}"},
               {"encoder.layers.{}.norm{}", "layers.{}.norm{}"},
               {"encoder.layers.{}.ls{}", "layers.{}.layer_scale{}"},
               {"encoder.layers.{}.attn.qkv.{}", "layers.{}.self_attn.qkv_proj.{}"},
               {"encoder.layers.{}.attn.proj.{}", "layers.{}.self_attn.o_proj.{}"},
               {"encoder.layers.{}.attn.{}", "layers.{}.self_attn.{}"},
               {"encoder.layers.{}.mlp.{}", "layers.{}.mlp.{}"},
               {"layernorm.{}", "norm.{}"}};
  map.ignored = vit().unused("encoder.layers.{}.*", "layernorm.*");
  return map;
}

}  // namespace antiphon::internvit

ANTIPHON_PLUGIN(internvit, "0.1.0") {
  using namespace antiphon::internvit;
  antiphon::register_component<antiphon::Encoder, InternVit>(
      registrar, "internvit", "InternViT, the vision transformers of InternVL", internvit_table());
}
