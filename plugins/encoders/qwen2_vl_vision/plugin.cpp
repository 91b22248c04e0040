// The vision transformers of Qwen2-VL (Wang et al. 2024; transformers: models/qwen2_vl), Qwen2.5-VL (Bai et al. 2025;
// models/qwen2_5_vl) and Qwen2.5-Omni (Xu et al. 2025; models/qwen2_5_omni) up to their mergers, which are connectors:
// pictures of any size, each at about its own, and videos.
#include <fmt/format.h>

#include <antiphon/backbone/native_vit_encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::qwen2_vl_vision {

struct VisionOptions : backbone::NativeVitOptions {
  int64_t window_size = 0;
  std::vector<int64_t> full_attention_layers;
  std::string norm = "layer_norm";
  bool gated_mlp = false, fused_qkv = true;
  double tokens_per_second = 0, seconds_per_chunk = 0;

  VisionOptions() { activation = "quick_gelu"; }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<VisionOptions>& vision_table() {
  using O = VisionOptions;
  static const auto* table = [] {
    auto* t = new config::Table<O>("qwen2_vl_vision");
    t->field("window_size", &O::window_size, "edge of the windows that blocks see, pixels; 0: all of a picture",
             {.min = 0, .max = 1 << 20})
        .field("full_attention_layers", &O::full_attention_layers, "blocks without windows, by number",
               {.min = 0, .max = 1000})
        .field("norm", &O::norm, "of the blocks", {.choices = {"layer_norm", "rms_norm"}})
        .field("gated_mlp", &O::gated_mlp, "down(act(gate(x)) · up(x)) in place of down(act(up(x)))")
        .field("fused_qkv", &O::fused_qkv, "one layer gives queries, keys and values")
        .field("tokens_per_second", &O::tokens_per_second,
               "positions of the language model that a second of a video takes; 0: one for each patch of frames",
               {.min = 0, .max = 1e4})
        .field("seconds_per_chunk", &O::seconds_per_chunk,
               "of a video with data.video.interleave: what is seen in so many seconds stands before what is heard in "
               "them, at the positions of their time; 0: all that is seen before all that is heard",
               {.min = 0, .max = 1e4});
    backbone::add_native_vit_fields(*t);
    return t;
  }();
  return *table;
}

void VisionOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  auto keys = backbone::native_vit_keys();
  const auto type = json.text("model_type", "");
  const bool omni = type == "qwen2_5_omni_vision_encoder";
  if (omni || type == "qwen2_5_vl_vision") {
    hidden_size = 3584, intermediate_size = 3420, window_size = 112, full_attention_layers = {7, 15, 23, 31};
    norm = "rms_norm", activation = "silu", gated_mlp = true, tokens_per_second = omni ? 25 : 4, fused_qkv = !omni;
    seconds_per_chunk = omni ? 2 : 0;
    keys = keys.with({.options = {{"hidden_size", "hidden_size"},
                                  {"intermediate_size", "intermediate_size"},
                                  {"window_size", "window_size", 1},
                                  {"tokens_per_second", "tokens_per_second", 1},
                                  {"fullatt_block_indexes", "full_attention_layers"}},
                      .other = {"out_hidden_size"}});
    read_keys(json, keys, vision_table(), *this);
  } else {
    expect_model_type(pretrained, "qwen2_vl_vision", "qwen2_vl_vision");
    keys = keys.with(
        {.options = {{"embed_dim", "hidden_size"}}, .other = {"hidden_size", "mlp_ratio", "tokens_per_second"}});
    read_keys(json, keys, vision_table(), *this);
    intermediate_size = hidden_size * json.integer("mlp_ratio", 4, 1, 1 << 12);
  }
  backbone::read_axial_rope(json, vision_table(), this);
  media::read_native_image(pretrained.preprocessor, patches(), vision_table(), this);
  // Qwen2.5-Omni's processor has bounds of its own for videos, the defaults here, if no file says others.
  if (!omni || pretrained.video_preprocessor.exists())
    media::read_native_video(pretrained, patches(), "Qwen2VLVideoProcessor", *this, vision_table(), this);
}

nn::PackedVitOptions vit_options(const VisionOptions& o) {
  auto vit = o.vit();
  vit.norm = o.norm == "rms_norm" ? nn::NormKind::rms : nn::NormKind::layer;
  vit.gated_mlp = o.gated_mlp, vit.fused_qkv = o.fused_qkv;
  vit.window = o.window_size / o.multiple() * o.merge_size, vit.full_layers = o.full_attention_layers;
  if (o.window_size > 0 && vit.window == 0)
    fail(ErrorKind::config, fmt::format("qwen2_vl_vision: a window of {} pixels holds no square of {} x {}",
                                        o.window_size, o.multiple(), o.multiple()));
  return vit;
}

class Vision : public backbone::NativeVitEncoder {
 public:
  explicit Vision(const VisionOptions& options)
      : NativeVitEncoder("qwen2_vl_vision", options, vit_options(options),
                         std::make_unique<media::SteppedVideo>(
                             options, options.video_use(options.tokens_per_second, options.seconds_per_chunk))),
        gated_mlp_(options.gated_mlp),
        fused_qkv_(options.fused_qkv) {}
  NameMap name_map() const override;

 private:
  bool gated_mlp_, fused_qkv_;
};

NameMap Vision::name_map() const {
  NameMap map;
  map.rules = {{"patch_embed.proj.weight", "patch_projection.weight"},
               {"blocks.{}.attn.proj.{}", "layers.{}.self_attn.o_proj.{}"},
               {"blocks.{}.norm{}", "layers.{}.norm{}"}};
  if (fused_qkv_)
    map.rules.push_back({"blocks.{}.attn.qkv.{}", "layers.{}.self_attn.qkv_proj.{}"});
  else
    for (const std::string one : {"q", "k", "v"})
      map.rules.push_back({"blocks.{}.attn." + one + ".{}", "layers.{}.self_attn." + one + "_proj.{}"});
  if (gated_mlp_)
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
      registrar, "qwen2_vl_vision", "the vision transformers of Qwen2-VL, Qwen2.5-VL and Qwen2.5-Omni", vision_table());
}
