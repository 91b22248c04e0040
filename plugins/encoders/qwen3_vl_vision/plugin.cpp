// The vision transformer of Qwen3-VL (Bai et al. 2025; transformers: models/qwen3_vl) up to its mergers, which are a
// connector: pictures of any size, each at about its own, and videos with their times in the text.
#include <fmt/format.h>

#include <antiphon/backbone/native_vit_encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <cmath>

namespace antiphon::qwen3_vl_vision {

struct VisionOptions : backbone::NativeVitOptions {
  int64_t positions = 48;
  std::vector<int64_t> taps = {8, 16, 24};

  VisionOptions() {
    hidden_size = 1152, intermediate_size = 4304, num_layers = 27, patch_size = 16, activation = "gelu_pytorch_tanh";
    mean = std = {0.5, 0.5, 0.5};
    video_min_pixels = 128 * 32 * 32, video_max_pixels = 768 * 32 * 32, video_max_tokens = 768;
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<VisionOptions>& vision_table() {
  using O = VisionOptions;
  static const auto* table = [] {
    auto* t = new config::Table<O>("qwen3_vl_vision");
    t->field("positions", &O::positions, "edge of the table of positions, which is stretched to a picture",
             {.min = 1, .max = 4096})
        .field("taps", &O::taps, "blocks whose vectors are added to the language model's first layers, by number",
               {.min = 0, .max = 1000});
    backbone::add_native_vit_fields(*t);
    return t;
  }();
  return *table;
}

// The file says how many positions there are.
int64_t edge_of(const JsonTable& json, int64_t edge) {
  const int64_t count = json.integer("num_position_embeddings", edge * edge, 1, 4096 * 4096);
  edge = std::llround(std::sqrt(static_cast<double>(count)));
  if (edge * edge != count) json.refuse("num_position_embeddings", "the square of a whole number");
  return edge;
}

void VisionOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  expect_model_type(pretrained, "qwen3_vl_vision", "qwen3_vl_vision");
  read_keys(json,
            backbone::native_vit_keys().with({.options = {{"hidden_size", "hidden_size"},
                                                          {"intermediate_size", "intermediate_size"},
                                                          {"deepstack_visual_indexes", "taps"}},
                                              .other = {"out_hidden_size", "num_position_embeddings"}}),
            vision_table(), *this);
  positions = edge_of(json, positions);
  backbone::read_axial_rope(json, vision_table(), this);
  media::read_native_image(pretrained.preprocessor, patches(), vision_table(), this);
  media::read_native_video(pretrained, patches(), "Qwen3VLVideoProcessor", *this, vision_table(), this);
}

nn::PackedVitOptions vit_options(const VisionOptions& o) {
  auto vit = o.vit();
  vit.patch_bias = true, vit.positions = o.positions, vit.taps = o.taps;
  return vit;
}

class Vision : public backbone::NativeVitEncoder {
 public:
  explicit Vision(const VisionOptions& options)
      : NativeVitEncoder("qwen3_vl_vision", options, vit_options(options),
                         std::make_unique<media::TimedVideo>(options, options.video_use())) {}
  NameMap name_map() const override;
};

NameMap Vision::name_map() const {
  NameMap map;
  map.rules = {{"patch_embed.proj.{}", "patch_projection.{}"},
               {"pos_embed.weight", "position_embedding"},
               {"blocks.{}.attn.qkv.{}", "layers.{}.self_attn.qkv_proj.{}"},
               {"blocks.{}.attn.proj.{}", "layers.{}.self_attn.o_proj.{}"},
               {"blocks.{}.norm{}", "layers.{}.norm{}"},
               {"blocks.{}.mlp.linear_fc1.{}", "layers.{}.mlp.up_proj.{}"},
               {"blocks.{}.mlp.linear_fc2.{}", "layers.{}.mlp.down_proj.{}"}};
  map.ignored = {"merger.*", "deepstack_merger_list.*"};
  return map;
}

}  // namespace antiphon::qwen3_vl_vision

ANTIPHON_PLUGIN(qwen3_vl_vision, "0.1.0") {
  using namespace antiphon::qwen3_vl_vision;
  antiphon::register_component<antiphon::Encoder, Vision>(registrar, "qwen3_vl_vision",
                                                          "the vision transformer of Qwen3-VL", vision_table());
}
