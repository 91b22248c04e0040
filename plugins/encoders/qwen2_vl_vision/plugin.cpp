// The vision transformers of Qwen2-VL (Wang et al. 2024; transformers: models/qwen2_vl) and Qwen2.5-VL (Bai et al.
// 2025; models/qwen2_5_vl) up to their mergers, which are connectors: pictures of any size, each at about its own.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/component/encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/media/image/native_image.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/packed_vit.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::qwen2_vl_vision {

struct VisionOptions : media::NativeImage {
  int64_t hidden_size = 1280, intermediate_size = 5120, num_layers = 32, num_heads = 16;
  int64_t patch_size = 14, temporal_patch_size = 2, merge_size = 2, window_size = 0;
  std::vector<int64_t> full_attention_layers;
  std::string norm = "layer_norm", activation = "quick_gelu";
  bool gated_mlp = false;
  double rope_theta = 10000;
  void read_pretrained(const PretrainedConfig& pretrained);
  int64_t multiple() const { return patch_size * merge_size; }
};

const config::Table<VisionOptions>& vision_table() {
  using O = VisionOptions;
  static const auto* table = [] {
    auto* t = new config::Table<O>("qwen2_vl_vision");
    t->field("hidden_size", &O::hidden_size, "width", {.min = 1, .max = 1 << 20})
        .field("intermediate_size", &O::intermediate_size, "width of the MLP", {.min = 1, .max = 1 << 22})
        .field("num_layers", &O::num_layers, "blocks", {.min = 1, .max = 1000})
        .field("num_heads", &O::num_heads, "attention heads", {.min = 1, .max = 1 << 16})
        .field("patch_size", &O::patch_size, "pixels", {.min = 1, .max = 4096})
        .field("temporal_patch_size", &O::temporal_patch_size, "frames of a patch; a picture stands for all",
               {.min = 1, .max = 64})
        .field("merge_size", &O::merge_size, "patches on the edge of a square that a merger joins: grids are multiples",
               {.min = 1, .max = 64})
        .field("window_size", &O::window_size, "edge of the windows that blocks see, pixels; 0: all of a picture",
               {.min = 0, .max = 1 << 20})
        .field("full_attention_layers", &O::full_attention_layers, "blocks without windows, by number",
               {.min = 0, .max = 1000})
        .field("norm", &O::norm, "of the blocks", {.choices = {"layer_norm", "rms_norm"}})
        .field("activation", &O::activation, "of the MLP", {.choices = nn::activation_names()})
        .field("gated_mlp", &O::gated_mlp, "down(act(gate(x)) · up(x)) in place of down(act(up(x)))")
        .field("rope_theta", &O::rope_theta, "base of the rotary frequencies",
               {.min = 0, .max = 1e15, .above_min = true});
    media::add_native_image_fields(*t);
    return t;
  }();
  return *table;
}

// What both families have.
const ForeignKeys& vision_keys() {
  static const auto* keys = new ForeignKeys(common_keys().with(
      {.options = {{"depth", "num_layers"},
                   {"num_hidden_layers", "num_layers"},
                   {"num_heads", "num_heads"},
                   {"num_attention_heads", "num_heads"},
                   {"patch_size", "patch_size"},
                   {"temporal_patch_size", "temporal_patch_size"},
                   {"spatial_merge_size", "merge_size"},
                   {"hidden_act", "activation"}},
       .fixed = {{"in_channels", {3}}, {"in_chans", {3}}},
       .other = {"rope_parameters", "spatial_patch_size", "tokens_per_second", "tie_word_embeddings"}}));
  return *keys;
}

void read_rope(const JsonTable& rope, VisionOptions& o) {
  const ForeignKeys keys{.options = {{"rope_theta", "rope_theta"}},
                         .fixed = {{"rope_type", {"axial"}}, {"partial_rotary_factor", {1}}}};
  if (rope.exists()) read_keys(rope, keys, vision_table(), o);
}

void VisionOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  auto keys = vision_keys();
  if (json.text("model_type", "") == "qwen2_5_vl_vision") {
    hidden_size = 3584, intermediate_size = 3420, window_size = 112, full_attention_layers = {7, 15, 23, 31};
    norm = "rms_norm", activation = "silu", gated_mlp = true;
    keys = keys.with({.options = {{"hidden_size", "hidden_size"},
                                  {"intermediate_size", "intermediate_size"},
                                  {"window_size", "window_size", 1},
                                  {"fullatt_block_indexes", "full_attention_layers"}},
                      .other = {"out_hidden_size"}});
    read_keys(json, keys, vision_table(), *this);
  } else {
    expect_model_type(pretrained, "qwen2_vl_vision", "qwen2_vl_vision");
    keys = keys.with({.options = {{"embed_dim", "hidden_size"}}, .other = {"hidden_size", "mlp_ratio"}});
    read_keys(json, keys, vision_table(), *this);
    intermediate_size = hidden_size * json.integer("mlp_ratio", 4, 1, 1 << 12);
  }
  read_rope(json.table("rope_parameters"), *this);
  media::read_native_image(pretrained.preprocessor, {patch_size, temporal_patch_size, merge_size}, vision_table(),
                           this);
}

nn::PackedVitOptions vit_options(const VisionOptions& o) {
  nn::PackedVitOptions vit;
  vit.hidden_size = o.hidden_size, vit.intermediate_size = o.intermediate_size;
  vit.num_layers = o.num_layers, vit.num_heads = o.num_heads;
  vit.patch_size = o.patch_size, vit.frames = o.temporal_patch_size;
  vit.norm = o.norm == "rms_norm" ? nn::NormKind::rms : nn::NormKind::layer;
  vit.activation = o.activation, vit.gated_mlp = o.gated_mlp, vit.rope_theta = o.rope_theta;
  vit.window = o.window_size / o.multiple() * o.merge_size, vit.full_layers = o.full_attention_layers;
  if (o.window_size > 0 && vit.window == 0)
    fail(ErrorKind::config, fmt::format("qwen2_vl_vision: a window of {} pixels holds no square of {} x {}",
                                        o.window_size, o.multiple(), o.multiple()));
  return vit;
}

class Vision : public Encoder {
 public:
  explicit Vision(const VisionOptions& options) : options_(options), vit_(vit_options(options), "qwen2_vl_vision") {
    media::check_native_image(options, options.multiple(), "qwen2_vl_vision");
  }
  Modality modality() const override { return Modality::image; }
  int64_t output_size() const override { return options_.hidden_size; }
  std::vector<at::Tensor> process(const MediaItem& item) const override {
    return {media::native_part(item, options_, options_.multiple(), "qwen2_vl_vision")};
  }
  std::vector<int64_t> example_shape() const override {
    const auto size = media::native_size({1, 1}, options_.multiple(), options_.min_pixels, options_.max_pixels);
    return {1, 3, size.height, size.width};
  }
  TokenGrid output_grid(at::IntArrayRef shape) const override;
  at::Tensor forward(const at::Tensor& parts) override {
    return vit_.forward(parts.unbind()).view({parts.size(0), -1, options_.hidden_size});
  }
  bool is_packed() const override { return true; }
  at::Tensor forward_packed(const std::vector<at::Tensor>& parts) override { return vit_.forward(parts); }
  Module& module() override { return vit_; }
  NameMap name_map() const override;

 private:
  VisionOptions options_;
  nn::PackedVit vit_;
};

TokenGrid Vision::output_grid(at::IntArrayRef shape) const {
  const int64_t multiple = options_.multiple();
  if (shape.size() != 4 || (shape[0] != 1 && shape[0] != options_.temporal_patch_size) || shape[1] != 3 ||
      shape[2] <= 0 || shape[2] % multiple != 0 || shape[3] <= 0 || shape[3] % multiple != 0)
    fail(ErrorKind::data,
         fmt::format("qwen2_vl_vision: expected a part [1 or {}, 3, height, width] of multiples of {} pixels, got [{}]",
                     options_.temporal_patch_size, multiple, fmt::join(shape, ", ")));
  return {shape[2] / options_.patch_size, shape[3] / options_.patch_size};
}

NameMap Vision::name_map() const {
  NameMap map;
  map.rules = {{"patch_embed.proj.weight", "patch_projection.weight"},
               {"blocks.{}.attn.qkv.{}", "layers.{}.self_attn.qkv_proj.{}"},
               {"blocks.{}.attn.proj.{}", "layers.{}.self_attn.o_proj.{}"},
               {"blocks.{}.norm{}", "layers.{}.norm{}"}};
  if (options_.gated_mlp)
    map.rules.push_back({"blocks.{}.mlp.{}", "layers.{}.mlp.{}"});
  else
    map.rules.insert(map.rules.end(), {{"blocks.{}.mlp.fc1.{}", "layers.{}.mlp.up_proj.{}"},
                                       {"blocks.{}.mlp.fc2.{}", "layers.{}.mlp.down_proj.{}"}});
  map.ignored = {"merger.*"};
  return map;
}

}  // namespace antiphon::qwen2_vl_vision

ANTIPHON_PLUGIN(qwen2_vl_vision, "0.1.0") {
  using namespace antiphon::qwen2_vl_vision;
  antiphon::register_component<antiphon::Encoder, Vision>(
      registrar, "qwen2_vl_vision", "the vision transformers of Qwen2-VL and Qwen2.5-VL", vision_table());
}
