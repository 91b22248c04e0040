// The vision transformer of Pixtral (Agrawal et al. 2024; transformers: models/pixtral) and Mistral Small 3.1: pictures
// of any shape up to a longest edge, several in one call.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/component/encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/media/image/edge_image.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/encoder_layer.h>
#include <antiphon/nn/blocks/packed_vit.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::pixtral {

struct PixtralOptions : media::EdgeImage {
  int64_t hidden_size = 1024, intermediate_size = 4096, num_layers = 24, num_heads = 16;
  int64_t patch_size = 16, merge_size = 1, layer = -1;
  std::string activation = "gelu";
  double rope_theta = 10000;
  void read_pretrained(const PretrainedConfig& pretrained);
  int64_t multiple() const { return patch_size * merge_size; }
};

const config::Table<PixtralOptions>& pixtral_table() {
  using O = PixtralOptions;
  static const auto* table = [] {
    auto* t = new config::Table<O>("pixtral");
    t->field("hidden_size", &O::hidden_size, "width", {.min = 1, .max = 1 << 20})
        .field("intermediate_size", &O::intermediate_size, "width of the MLP", {.min = 1, .max = 1 << 22})
        .field("num_layers", &O::num_layers, "blocks of the checkpoint", {.min = 1, .max = 1000})
        .field("num_heads", &O::num_heads, "attention heads", {.min = 1, .max = 1 << 16})
        .field("patch_size", &O::patch_size, "pixels", {.min = 1, .max = 4096})
        .field("merge_size", &O::merge_size, "patches on the edge of a square that a merger joins: grids are multiples",
               {.min = 1, .max = 64})
        .field("layer", &O::layer, "feature layer: -1 is the last block's output, 0 the patches, n block n")
        .field("activation", &O::activation, "of the MLP", {.choices = nn::activation_names()})
        .field("rope_theta", &O::rope_theta, "base of the rotary frequencies",
               {.min = 0, .max = 1e15, .above_min = true});
    media::add_edge_image_fields(*t);
    return t;
  }();
  return *table;
}

void PixtralOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  expect_model_type(pretrained, "pixtral", "pixtral");
  static const auto* keys = new ForeignKeys(common_keys().with(
      {.options = {{"hidden_size", "hidden_size"},
                   {"intermediate_size", "intermediate_size"},
                   {"num_hidden_layers", "num_layers"},
                   {"num_attention_heads", "num_heads"},
                   {"patch_size", "patch_size"},
                   {"hidden_act", "activation"},
                   {"rope_theta", "rope_theta"}},
       .fixed = {{"num_channels", {3}}},
       .training = {"attention_dropout"},
       // image_size: as far as positions went when they were a table; head_dim: follows from the other two
       .other = {"rope_parameters", "image_size", "head_dim", "is_composition", "tie_word_embeddings", "vocab_size"}}));
  read_keys(json, *keys, pixtral_table(), *this);
  const ForeignKeys of_rope{.options = {{"rope_theta", "rope_theta"}},
                            .fixed = {{"rope_type", {"axial", "default"}}, {"partial_rotary_factor", {1}}}};
  if (const auto rope = json.table("rope_parameters"); rope.exists()) read_keys(rope, of_rope, pixtral_table(), *this);
  media::read_edge_image(pretrained.preprocessor, patch_size, pixtral_table(), *this, this);
}

nn::PackedVitOptions vit_options(const PixtralOptions& o) {
  nn::PackedVitOptions vit;
  vit.hidden_size = o.hidden_size, vit.intermediate_size = o.intermediate_size;
  vit.num_layers = nn::layers_used("pixtral", o.layer, o.num_layers), vit.num_heads = o.num_heads;
  vit.patch_size = o.patch_size, vit.frames = 1, vit.flat_patches = true, vit.pre_norm = true;
  vit.norm = nn::NormKind::rms, vit.norm_eps = 1e-5;
  vit.activation = o.activation, vit.gated_mlp = true, vit.biases = vit.fused_qkv = false;
  vit.rope_theta = o.rope_theta, vit.interleaved_rope = true;
  return vit;
}

class Pixtral : public Encoder {
 public:
  explicit Pixtral(const PixtralOptions& options) : options_(options), vit_(vit_options(options), "pixtral") {
    media::check_edge_image(options, "pixtral");
  }
  Modality modality() const override { return Modality::image; }
  int64_t output_size() const override { return options_.hidden_size; }
  std::vector<at::Tensor> process(const MediaItem& item) const override {
    return {media::edge_part(item, options_, options_.multiple(), "pixtral")};
  }
  std::vector<int64_t> example_shape() const override { return {1, 3, options_.multiple(), options_.multiple()}; }
  TokenGrid output_grid(at::IntArrayRef shape) const override;
  at::Tensor forward(const at::Tensor& parts) override {
    return vit_.forward(parts.unbind()).view({parts.size(0), -1, options_.hidden_size});
  }
  bool is_packed() const override { return true; }
  at::Tensor forward_packed(const std::vector<at::Tensor>& parts) override { return vit_.forward(parts); }
  Module& module() override { return vit_; }
  NameMap name_map() const override;

 private:
  PixtralOptions options_;
  nn::PackedVit vit_;
};

TokenGrid Pixtral::output_grid(at::IntArrayRef shape) const {
  const int64_t multiple = options_.multiple();
  if (shape.size() != 4 || shape[0] != 1 || shape[1] != 3 || shape[2] <= 0 || shape[2] % multiple != 0 ||
      shape[3] <= 0 || shape[3] % multiple != 0)
    fail(ErrorKind::data, fmt::format("pixtral: expected a part [1, 3, height, width] of multiples of {} pixels, got "
                                      "[{}]",
                                      multiple, fmt::join(shape, ", ")));
  return {shape[2] / options_.patch_size, shape[3] / options_.patch_size};
}

NameMap Pixtral::name_map() const {
  NameMap map;
  map.rules = {{"patch_conv.weight", "patch_projection.weight"},
               {"ln_pre.{}", "pre_norm.{}"},
               {"transformer.layers.{}.attention_norm.{}", "layers.{}.norm1.{}"},
               {"transformer.layers.{}.attention.{}", "layers.{}.self_attn.{}"},
               {"transformer.layers.{}.ffn_norm.{}", "layers.{}.norm2.{}"},
               {"transformer.layers.{}.feed_forward.{}", "layers.{}.mlp.{}"}};
  for (int64_t i = nn::layers_used("pixtral", options_.layer, options_.num_layers); i < options_.num_layers; ++i)
    map.ignored.push_back(fmt::format("transformer.layers.{}.*", i));
  return map;
}

}  // namespace antiphon::pixtral

ANTIPHON_PLUGIN(pixtral, "0.1.0") {
  using namespace antiphon::pixtral;
  antiphon::register_component<antiphon::Encoder, Pixtral>(
      registrar, "pixtral", "the vision transformer of Pixtral and Mistral Small 3", pixtral_table());
}
