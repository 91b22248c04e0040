// The vision half of CLIP (Radford et al. 2021; transformers: models/clip/modeling_clip.py).
#include <antiphon/backbone/vit_encoder.h>
#include <antiphon/backbone/vit_pretrained.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/media/image/image_processor.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::clip {

struct ClipOptions : nn::VitOptions, media::ImageProcessing {
  ClipOptions() {
    patch_size = 32, layer_norm_eps = 1e-5, activation = "quick_gelu";
    mean = {0.48145466, 0.4578275, 0.40821073}, std = {0.26862954, 0.26130258, 0.27577711};
  }
  bool pooled = false;
  int64_t projection_dim = 512;
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<ClipOptions>& clip_table() {
  static const auto* table = [] {
    auto* t = new config::Table<ClipOptions>("clip");
    backbone::add_vit_fields(*t, /*class_token=*/true)
        .field("pooled", &ClipOptions::pooled,
               "one vector a picture: the class token, normed and projected, as CLIP compares it with texts")
        .field("projection_dim", &ClipOptions::projection_dim, "width of the pooled vector",
               {.min = 1, .max = 1 << 20});
    media::add_image_fields(*t);
    return t;
  }();
  return *table;
}

void ClipOptions::read_pretrained(const PretrainedConfig& given) {
  auto pretrained = given;
  pretrained.config = backbone::with_config_dicts(given.config);
  static const auto* keys =
      new ForeignKeys(backbone::vit_keys().with({.options = {{"intermediate_size", "intermediate_size"}}}));
  read_keys(backbone::half_config(pretrained, "clip", "clip", "vision"), *keys, clip_table(), *this);
  // A whole model's stands beside the halves, and theirs have no effect.
  read_options(pretrained.config, {{"projection_dim", "projection_dim"}}, clip_table(), *this);
  media::read_image_processing(pretrained.preprocessor, "clip", clip_table(), *this);
}

// The norm and the projection of the class token. Parameters: norm, projection.
class ClassTokenPool : public nn::VitPool {
 public:
  explicit ClassTokenPool(const ClipOptions& o)
      : norm_(nn::NormKind::layer, o.hidden_size, o.layer_norm_eps),
        projection_(o.hidden_size, o.projection_dim, false) {
    add("norm", norm_);
    add("projection", projection_);
  }
  at::Tensor forward(const at::Tensor& x_ntd) const override {
    return projection_.forward(norm_.forward(x_ntd.select(1, 0)));
  }
  int64_t output_size() const override { return projection_.out(); }

 private:
  nn::Norm norm_;
  nn::Linear projection_;
};

class Clip : public backbone::VitEncoder {
 public:
  explicit Clip(const ClipOptions& options)
      : VitEncoder(options, {.plugin = "clip", .patch_bias = false, .pre_norm = true, .final_norm = false}),
        image_(options) {
    media::check_image_processing(image_, "clip");
    media::check_patch(image_, options.patch_size, "clip");
    if (options.pooled) pool_with(std::make_unique<ClassTokenPool>(options));
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
  std::vector<NameRule> own{{"embeddings.class_embedding", "cls_token"}, {"pre_layrnorm.{}", "pre_norm.{}"}};
  std::vector<std::string> ignored{"text_model.*", "text_projection.*", "logit_scale"};
  if (vit().pool()) {
    own.push_back({"post_layernorm.{}", "pool.norm.{}"});
    own.push_back({"visual_projection.{}", "pool.projection.{}"});
  } else {
    ignored.push_back("visual_projection.*");
  }
  return backbone::clip_names(vit(), own, ignored);
}

}  // namespace antiphon::clip

ANTIPHON_PLUGIN(clip, "0.1.0") {
  using namespace antiphon::clip;
  antiphon::register_component<antiphon::Encoder, Clip>(registrar, "clip", "the vision half of CLIP", clip_table());
}
