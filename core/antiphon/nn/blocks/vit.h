// The vision transformer that image encoders share (Dosovitskiy et al. 2020); a plugin turns its config.json into these
// options and holds the name map.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/nn/blocks/encoder_layer.h>

#include <memory>

namespace antiphon::nn {

// Options that a configuration may set.
struct VitOptions {
  int64_t hidden_size = 768, intermediate_size = 3072, num_layers = 12, num_heads = 12;
  int64_t image_size = 224, patch_size = 16;
  double layer_norm_eps = 1e-6;
  std::string activation = "gelu";
  int64_t layer = -1;
  bool keep_class_token = false;  // no effect if there is none
};

// Properties of a model family.
struct VitKind {
  std::string plugin;        // for messages
  bool class_token = true;   // one vector before the patches
  bool patch_bias = true;    // of the patch projection
  bool pre_norm = false;     // a norm before the first block (CLIP)
  bool final_norm = true;    // the last layer's output is normed
  bool layer_scale = false;  // see EncoderLayerOptions, also the next four
  NormKind norm = NormKind::layer;
  bool qkv_bias = true, fused_qkv = false;
  double qk_norm_eps = 0;
  bool batched_tables = false;  // class token [1, 1, width] and positions [1, n, width], else [width] and [n, width]
  bool bucketed_positions = false;  // of any grid those of the table's grid at the same part of an edge (Idefics2, 3)
};

// What makes one vector of a picture of the last layer's output: the head of a dual encoder's image tower.
class VitPool : public Module {
 public:
  // x [n, tokens, hidden_size] -> [n, output_size()].
  virtual at::Tensor forward(const at::Tensor& x_ntd) const = 0;
  virtual int64_t output_size() const = 0;
};

// Parameters: cls_token, position_embeddings, patch_projection.{weight, bias}, pre_norm, layers.N (see EncoderLayer),
// norm, pool. Blocks that `layer` does not need are left out.
class Vit : public Module {
 public:
  // Error(config) if the options contradict each other.
  Vit(const VitOptions& options, const VitKind& kind);
  // From here on forward() gives what `pool` makes. Error(config) unless `layer` is the last.
  void pool_with(std::unique_ptr<VitPool> pool);
  const VitPool* pool() const { return pool_.get(); }
  // parts [n, 3, height, width] -> [n, 1 + patches, hidden_size], the first vector only if there is a class token; with
  // a pool [n, 1, pool().output_size()].
  // Positions of a grid other than the checkpoint's are interpolated (bicubic), unless they are bucketed.
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
  std::unique_ptr<VitPool> pool_;
};

}  // namespace antiphon::nn
