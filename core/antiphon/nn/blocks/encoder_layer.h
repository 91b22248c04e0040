// The pre-norm block that ViT-like and Whisper-like encoders and the text towers of dual encoders share.
#pragma once
#include <antiphon/comm/group.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/norm.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon::nn {

struct EncoderLayerOptions {
  int64_t hidden_size = 0, intermediate_size = 0, num_heads = 0;
  double norm_eps = 1e-5;
  NormKind norm = NormKind::layer;
  bool qkv_bias = true;      // of queries, keys and values
  bool key_bias = true;      // false for Whisper, which has those of queries and values
  bool fused_qkv = false;    // one linear layer for all three
  double qk_norm_eps = 0;    // > 0: queries and keys are normed (RMS), all heads of a vector together (InternViT-6B)
  bool layer_scale = false;  // DINOv2: each branch is multiplied by a learned vector (Touvron et al. 2021)
  std::string activation = "gelu";
  bool causal = false;  // no token sees a later one
};

// How many of an encoder's blocks the feature layer `layer` needs: -1 is the last block's output, -2 the one before, 0
// the embedding, n block n. Error(config), in the name of `plugin`, if there is no such layer.
int64_t layers_used(std::string_view plugin, int64_t layer, int64_t num_layers);

// Parameters: norm1, self_attn.{q,k,v,o}_proj or self_attn.{qkv,o}_proj, self_attn.{q,k}_norm, layer_scale1, norm2,
// mlp.{fc1,fc2}, layer_scale2.
class EncoderLayer : public Module {
 public:
  explicit EncoderLayer(const EncoderLayerOptions& options);
  // x [n, tokens, hidden_size] -> the same shape.
  at::Tensor forward(const at::Tensor& x) const;
  // Sequences one after the other, x [tokens, hidden_size]; `lengths`: tokens of each.
  at::Tensor forward(const at::Tensor& x_td, const std::vector<int64_t>& lengths) const;
  // From then on x_td is the slice of this process (nn/token_slices.h); of its part it keeps some of the heads and of
  // the MLP's inner values. Of a layer whose projections are apart and have no norms. The group outlives it.
  void share(comm::Group& parts);
  comm::Group* parts() const { return fc1_.together; }  // nullptr: this process has all of it

 private:
  at::Tensor entered(const at::Tensor& x, const std::vector<int64_t>& lengths) const;
  at::Tensor left(const at::Tensor& x, const std::vector<int64_t>& lengths) const;
  void add_projections();
  std::array<at::Tensor, 3> projected(const at::Tensor& x) const;
  at::Tensor attend(const at::Tensor& x, const std::vector<int64_t>& lengths) const;
  at::Tensor scaled(at::Tensor y, const at::Tensor& scale) const;
  EncoderLayerOptions options_;
  Norm norm1_, norm2_;
  std::vector<std::unique_ptr<Linear>> projections_;  // one or three
  std::unique_ptr<Norm> q_norm_, k_norm_;
  Linear o_proj_, fc1_, fc2_;
  at::Tensor scale1_, scale2_;
};

}  // namespace antiphon::nn
