// The vision transformer over pictures of any size in one pass, without padding: rotary positions by row and column,
// with or without a table besides, and attention within windows (Wang et al. 2024; transformers: models/qwen2_vl,
// models/qwen2_5_vl, models/qwen3_vl). A plugin turns its config.json into these options and holds the name map.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/nn/attention/rope.h>
#include <antiphon/nn/blocks/block_mlp.h>
#include <antiphon/nn/norm.h>

#include <memory>
#include <utility>

namespace antiphon::nn {

struct PackedVitOptions {
  int64_t hidden_size = 0, intermediate_size = 0, num_layers = 0, num_heads = 0;
  int64_t patch_size = 14, frames = 2;  // of a patch: pixels of its edge, and frames
  NormKind norm = NormKind::layer;
  double norm_eps = 1e-6, rope_theta = 10000;
  std::string activation = "gelu";
  bool gated_mlp = false;
  bool biases = true;                // of all layers of the blocks
  bool fused_qkv = true;             // one layer gives queries, keys and values
  bool pre_norm = false;             // patches are normalized before the first block
  bool flat_patches = false;         // the weight of patches has no axis of frames, of which there is one
  bool interleaved_rope = false;     // see Rope::of_grid
  int64_t window = 0;                // patches of a window's edge, beyond which a block does not see; 0: no windows
  std::vector<int64_t> full_layers;  // blocks that see all of a picture nevertheless
  bool patch_bias = false;
  int64_t positions = 0;      // edge of a table of positions, stretched to the picture; 0: none
  std::vector<int64_t> taps;  // blocks whose vectors are given, too, by number
};

// Where patches lie: tokens of several pictures, those of each in the order of its windows.
struct PackedPatches {
  at::Tensor order_t;   // [tokens] int64: which of the patches, row by row, the token is; undefined: as they are
  at::Tensor place_at;  // [2, tokens] int64: row and column
  std::vector<int64_t> pictures, windows;  // tokens of each
};

// The rows of a square table of `edge` x `edge` positions that each patch of the grids, row by row, takes its position
// from, and how much of each: [patches, 4] int64 and float32. Corners meet corners (transformers: vision_utils.py,
// get_vision_interpolation_indices_and_weights with align_corners).
std::pair<at::Tensor, at::Tensor> stretched_positions(const std::vector<TokenGrid>& grids, int64_t edge);

// Windows of `window` x `window` patches from the upper left on, cut short at the far edges; 0: a picture is one.
PackedPatches packed_patches(const std::vector<TokenGrid>& grids, int64_t window);

// Parameters: norm1, self_attn.{qkv (or q, k, v),o}_proj, norm2, mlp (see BlockMlp).
class PackedVitLayer : public Module {
 public:
  explicit PackedVitLayer(const PackedVitOptions& options);
  // x [tokens, hidden_size] -> the same shape; `lengths`: of runs of tokens that see each other.
  at::Tensor forward(const at::Tensor& x_td, const RopeTable& rope, const std::vector<int64_t>& lengths) const;

 private:
  at::Tensor attend(const at::Tensor& x_td, const RopeTable& rope, const std::vector<int64_t>& lengths) const;
  int64_t num_heads_;
  Norm norm1_, norm2_;
  std::vector<std::unique_ptr<Linear>> projections_;  // one, or three
  Linear o_proj_;
  BlockMlp mlp_;
};

// Parameters: patch_projection.weight [hidden_size, 3, frames (unless patches are flat), patch_size, patch_size] and
// .bias, if there is one, position_embedding [positions², hidden_size], if there is one, pre_norm, if there is one,
// layers.N.
class PackedVit : public Module {
 public:
  // Error(config) if the options contradict each other; `plugin` is for messages.
  PackedVit(const PackedVitOptions& options, const std::string& plugin);
  // parts [frames or 1, 3, height, width] each, whose edges are whole patches -> [sum of patches, output_size()], row
  // by row: after the last block, then after each that is tapped. A single frame stands for all.
  at::Tensor forward(const std::vector<at::Tensor>& parts) const;
  int64_t output_size() const { return options_.hidden_size * (1 + static_cast<int64_t>(options_.taps.size())); }

 private:
  at::Tensor embed(const std::vector<at::Tensor>& parts, const std::vector<TokenGrid>& grids) const;
  bool is_full(size_t layer) const;
  PackedVitOptions options_;
  at::Tensor patch_weight_, patch_bias_, position_embedding_;
  std::unique_ptr<Norm> pre_norm_;
  std::vector<std::unique_ptr<PackedVitLayer>> layers_;
  Rope rope_;
};

}  // namespace antiphon::nn
