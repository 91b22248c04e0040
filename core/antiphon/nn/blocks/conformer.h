// The Conformer block (Gulati et al. 2020) with the relative attention of Transformer-XL (Dai et al. 2019), as
// ParakeetEncoderBlock of transformers: half a feed-forward, attention, convolution, half a feed-forward, norm.
#pragma once
#include <antiphon/nn/batch_norm.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/norm.h>

#include <string>

namespace antiphon::nn {

struct ConformerOptions {
  int64_t hidden_size = 0, intermediate_size = 0, num_heads = 0, kernel_size = 9;
  bool attention_bias = true, convolution_bias = true;
  std::string activation = "silu";
  // In training: on what each half of a block adds and within the feed-forwards; on the attention weights.
  double dropout = 0, attention_dropout = 0;
};

// Shared by all blocks in one pass.
struct ConformerPass {
  at::Tensor positions;   // [2t - 1, hidden_size], from t - 1 down to 1 - t: relative_positions()
  at::Tensor padding_nt;  // true after the end of a sequence; undefined: all are of length t
  bool training = false;  // applies dropout, and normalizes by the batch's statistics (but see batch_norm.h)
};

// Alternating sine and cosine of each distance, from length - 1 down to 1 - length: [2 length - 1, hidden_size], in the
// dtype and on the device of `like`.
at::Tensor relative_positions(int64_t length, int64_t hidden_size, const at::Tensor& like);

// Parameters: linear1, linear2.
class FeedForward : public Module {
 public:
  explicit FeedForward(const ConformerOptions& options);
  at::Tensor forward(const at::Tensor& x, bool training) const;

 private:
  std::string activation_;
  double dropout_;
  Linear linear1_, linear2_;
};

// Parameters: {q,k,v,o,relative_k}_proj, bias_u, bias_v.
class RelativeAttention : public Module {
 public:
  explicit RelativeAttention(const ConformerOptions& options);
  // x [n, t, hidden_size]. Nothing attends to padding.
  at::Tensor forward(const at::Tensor& x, const ConformerPass& pass) const;

 private:
  at::Tensor position_scores(const at::Tensor& q, const at::Tensor& positions) const;
  int64_t num_heads_, head_size_;
  double dropout_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_, relative_k_proj_;
  at::Tensor bias_u_, bias_v_;
};

// Parameters: pointwise_conv1, depthwise_conv, norm, pointwise_conv2.
class ConformerConvolution : public Module {
 public:
  explicit ConformerConvolution(const ConformerOptions& options);
  // Padding is zero for the depthwise convolution, and its outputs there count in the batch's statistics, as in NeMo
  // (nemo/collections/asr/parts/submodules/conformer_modules.py).
  at::Tensor forward(const at::Tensor& x, const ConformerPass& pass) const;

 private:
  void add_conv(const std::string& name, at::Tensor& weight, at::Tensor& bias, at::IntArrayRef shape, bool has_bias);
  int64_t kernel_size_;
  std::string activation_;
  at::Tensor wide_weight_, wide_bias_, depth_weight_, depth_bias_, out_weight_, out_bias_;
  BatchNorm norm_;
};

class ConformerBlock : public Module {
 public:
  explicit ConformerBlock(const ConformerOptions& options);
  at::Tensor forward(const at::Tensor& x, const ConformerPass& pass) const;

 private:
  double dropout_;
  FeedForward feed_forward1_, feed_forward2_;
  RelativeAttention self_attn_;
  ConformerConvolution conv_;
  Norm norm_feed_forward1_, norm_self_att_, norm_conv_, norm_feed_forward2_, norm_out_;
};

}  // namespace antiphon::nn
