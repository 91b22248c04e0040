// The vision transformer that image encoders share (Dosovitskiy et al. 2020); a plugin turns its config.json into these
// options and holds the name map.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/config/schema.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/encoder_layer.h>

#include <memory>

namespace antiphon::nn {

// What a configuration may say.
struct VitOptions {
  int64_t hidden_size = 768, intermediate_size = 3072, num_layers = 12, num_heads = 12;
  int64_t image_size = 224, patch_size = 16;
  double layer_norm_eps = 1e-6;
  std::string activation = "gelu";
  int64_t layer = -1;
  bool keep_class_token = false;  // of no effect where there is none
};

// What a family is.
struct VitKind {
  std::string plugin;           // for messages
  bool class_token = true;      // one vector before those of the patches
  bool patch_bias = true;       // of the patch projection
  bool pre_norm = false;        // a norm before the first block (CLIP)
  bool final_norm = true;       // the last layer's output is normed
  bool layer_scale = false;     // see EncoderLayerOptions
  bool batched_tables = false;  // class token [1, 1, width] and positions [1, n, width], else [width] and [n, width]
};

// Parameters: cls_token, position_embeddings, patch_projection.{weight, bias}, pre_norm, layers.N (see EncoderLayer),
// norm. Blocks that `layer` does not need are left out.
class Vit : public Module {
 public:
  // Error(config) where the options do not go together.
  Vit(const VitOptions& options, const VitKind& kind);
  // parts [n, 3, height, width] -> [n, 1 + patches, hidden_size], the first vector only where there is a class token.
  // Positions of another grid than the checkpoint's are interpolated (bicubic).
  at::Tensor forward(const at::Tensor& parts) const;
  // Rows and columns of patches of a part [3, height, width]. Error(data) for another shape.
  TokenGrid grid(at::IntArrayRef part_shape) const;
  // Checkpoint names that belong to blocks and norms left out, for NameMap::ignored. `block` and `norm` are patterns
  // such as "encoder.layer.{}.*" and "layernorm.*".
  std::vector<std::string> unused(const std::string& block, const std::string& norm) const;

 private:
  at::Tensor embed(const at::Tensor& parts) const;
  at::Tensor position_embedding(int64_t rows, int64_t columns) const;

  VitOptions options_;
  VitKind kind_;
  int64_t layers_used_;
  at::Tensor class_token_, position_embedding_, patch_weight_, patch_bias_;
  std::unique_ptr<Norm> pre_norm_, norm_;
  std::vector<std::unique_ptr<EncoderLayer>> layers_;
};

// What image encoders on a Vit share. A plugin adds the processor and the name map.
class VitEncoder : public Encoder {
 public:
  VitEncoder(const VitOptions& options, const VitKind& kind);
  Modality modality() const override { return Modality::image; }
  int64_t output_size() const override { return width_; }
  TokenGrid output_grid(at::IntArrayRef part_shape) const override;
  at::Tensor forward(const at::Tensor& parts) override;
  Module& module() override { return vit_; }

 protected:
  const Vit& vit() const { return vit_; }

 private:
  int64_t width_;
  bool has_class_token_, keep_class_token_;
  Vit vit_;
};

// Adds the keys of VitOptions to the table of an options struct that derives from it; `class_token`: the family has
// one.
template <class Options>
config::Table<Options>& add_vit_fields(config::Table<Options>& table, bool class_token) {
  using V = VitOptions;
  auto of = []<class M>(M V::*member) -> M Options::* { return member; };
  if (class_token) table.field("class_token", of(&V::keep_class_token), "keep the class token as the first vector");
  return table.field("hidden_size", of(&V::hidden_size), "width", {.min = 1, .max = 1 << 20})
      .field("intermediate_size", of(&V::intermediate_size), "width of the MLP", {.min = 1, .max = 1 << 22})
      .field("num_layers", of(&V::num_layers), "blocks of the checkpoint", {.min = 1, .max = 1000})
      .field("num_heads", of(&V::num_heads), "attention heads", {.min = 1, .max = 1 << 16})
      .field("image_size", of(&V::image_size), "picture size of the position table, pixels", {.min = 1, .max = 16384})
      .field("patch_size", of(&V::patch_size), "pixels", {.min = 1, .max = 4096})
      .field("layer_norm_eps", of(&V::layer_norm_eps), "epsilon of the norms", {.min = 0, .max = 1})
      .field("activation", of(&V::activation), "of the MLP", {.choices = activation_names()})
      .field("layer", of(&V::layer),
             "feature layer: -1 is the last, with the final norm where the model has one; -2 the output of the block "
             "before, without it; 0 the patch embedding, n block n");
}

}  // namespace antiphon::nn
