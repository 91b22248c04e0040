#include <antiphon/nn/conformer.h>

#include <ATen/ATen.h>

#include <antiphon/nn/activation.h>

#include <cmath>

namespace antiphon::nn {

at::Tensor relative_positions(int64_t length, int64_t hidden_size, const at::Tensor& like) {
  const auto options = like.options().dtype(at::kFloat);
  const auto distance = at::arange(length - 1, -length, -1, options);
  const auto even = at::arange(0, hidden_size, 2, options);
  const auto frequency = at::pow(10000.0, even / static_cast<double>(hidden_size)).reciprocal();
  const auto angle = distance.unsqueeze(1) * frequency;
  return at::stack({angle.sin(), angle.cos()}, -1).flatten(1).to(like.scalar_type());
}

FeedForward::FeedForward(const ConformerOptions& o)
    : activation_(o.activation),
      linear1_(o.hidden_size, o.intermediate_size, o.attention_bias),
      linear2_(o.intermediate_size, o.hidden_size, o.attention_bias) {
  linear1_.keep_packed(), linear2_.keep_packed();
  add("linear1", linear1_);
  add("linear2", linear2_);
}

at::Tensor FeedForward::forward(const at::Tensor& x) const {
  return linear2_.forward(activate(activation_, linear1_.forward(x)));
}

RelativeAttention::RelativeAttention(const ConformerOptions& o)
    : num_heads_(o.num_heads),
      head_size_(o.hidden_size / o.num_heads),
      q_proj_(o.hidden_size, o.hidden_size, o.attention_bias),
      k_proj_(o.hidden_size, o.hidden_size, o.attention_bias),
      v_proj_(o.hidden_size, o.hidden_size, o.attention_bias),
      o_proj_(o.hidden_size, o.hidden_size, o.attention_bias),
      relative_k_proj_(o.hidden_size, o.hidden_size, false) {
  for (auto* linear : {&q_proj_, &k_proj_, &v_proj_, &o_proj_}) linear->keep_packed();
  add("q_proj", q_proj_);
  add("k_proj", k_proj_);
  add("v_proj", v_proj_);
  add("o_proj", o_proj_);
  add("relative_k_proj", relative_k_proj_);
  add("bias_u", bias_u_, {num_heads_, head_size_}, Init::zeros);
  add("bias_v", bias_v_, {num_heads_, head_size_}, Init::zeros);
}

// Query i and key j are i - j apart: row i holds the scores of distances t - 1 … 1 - t, of which it needs those from i
// on down. Reading the padded rows one place short shifts each by one more ("rel_shift" of Transformer-XL).
at::Tensor RelativeAttention::position_scores(const at::Tensor& q, const at::Tensor& positions) const {
  const int64_t n = q.size(0), t = q.size(2), distances = positions.size(0);
  const auto keys = relative_k_proj_.forward(positions).view({distances, num_heads_, head_size_}).permute({1, 2, 0});
  const auto scores = at::matmul(q + like(bias_v_, q).unsqueeze(1), keys);
  const auto shifted = at::constant_pad_nd(scores, {1, 0}).view({n, num_heads_, distances + 1, t});
  return shifted.narrow(2, 1, distances).reshape({n, num_heads_, t, distances}).narrow(3, 0, t);
}

at::Tensor RelativeAttention::forward(const at::Tensor& x, const at::Tensor& positions) const {
  auto heads = [&](const Linear& projection) {
    return projection.forward(x).view({x.size(0), x.size(1), num_heads_, head_size_}).transpose(1, 2);
  };
  const auto q = heads(q_proj_);
  const auto bias = position_scores(q, positions) / std::sqrt(static_cast<double>(head_size_));
  const auto y = at::scaled_dot_product_attention(q + like(bias_u_, q).unsqueeze(1), heads(k_proj_), heads(v_proj_),
                                                  bias.contiguous());
  return o_proj_.forward(y.transpose(1, 2).reshape(x.sizes()));
}

ConformerConvolution::ConformerConvolution(const ConformerOptions& o)
    : kernel_size_(o.kernel_size), activation_(o.activation) {
  const int64_t width = o.hidden_size;
  add_conv("pointwise_conv1", wide_weight_, wide_bias_, {2 * width, width, 1}, o.convolution_bias);
  add_conv("depthwise_conv", depth_weight_, depth_bias_, {width, 1, o.kernel_size}, o.convolution_bias);
  add("norm.weight", norm_weight_, {width}, Init::ones);
  add("norm.bias", norm_bias_, {width}, Init::zeros);
  if (o.convolution_norm == ConformerOptions::Normalization::batch) {
    add_fixed("norm.running_mean", running_mean_, {width}, Init::zeros);
    add_fixed("norm.running_var", running_var_, {width}, Init::ones);
  }
  add_conv("pointwise_conv2", out_weight_, out_bias_, {width, width, 1}, o.convolution_bias);
}

void ConformerConvolution::add_conv(const std::string& name, at::Tensor& weight, at::Tensor& bias,
                                    at::IntArrayRef shape, bool has_bias) {
  add(name + ".weight", weight, shape, Init::linear_uniform);
  if (has_bias) add(name + ".bias", bias, {shape[0]}, Init::zeros);
}

at::Tensor ConformerConvolution::normed(const at::Tensor& x_nct) const {
  const auto weight = like(norm_weight_, x_nct), bias = like(norm_bias_, x_nct);
  if (!running_mean_.defined())
    return at::layer_norm(x_nct.transpose(1, 2), {x_nct.size(1)}, weight, bias, 1e-5).transpose(1, 2);
  return at::batch_norm(x_nct, weight, bias, like(running_mean_, x_nct), like(running_var_, x_nct), /*training=*/false,
                        /*momentum=*/0.0, /*eps=*/1e-5, /*cudnn_enabled=*/false);
}

at::Tensor ConformerConvolution::forward(const at::Tensor& x) const {
  const auto wide = nn::linear(x, like(wide_weight_, x).squeeze(2), like(wide_bias_, x));
  const auto gated = at::glu(wide, -1).transpose(1, 2);
  const auto mixed =
      at::conv1d(gated, like(depth_weight_, x), like(depth_bias_, x), 1, (kernel_size_ - 1) / 2, 1, gated.size(1));
  const auto y = activate(activation_, normed(mixed)).transpose(1, 2);
  return nn::linear(y, like(out_weight_, x).squeeze(2), like(out_bias_, x));
}

ConformerBlock::ConformerBlock(const ConformerOptions& o)
    : feed_forward1_(o),
      feed_forward2_(o),
      self_attn_(o),
      conv_(o),
      norm_feed_forward1_(NormKind::layer, o.hidden_size, 1e-5),
      norm_self_att_(NormKind::layer, o.hidden_size, 1e-5),
      norm_conv_(NormKind::layer, o.hidden_size, 1e-5),
      norm_feed_forward2_(NormKind::layer, o.hidden_size, 1e-5),
      norm_out_(NormKind::layer, o.hidden_size, 1e-5) {
  add("feed_forward1", feed_forward1_);
  add("self_attn", self_attn_);
  add("conv", conv_);
  add("feed_forward2", feed_forward2_);
  add("norm_feed_forward1", norm_feed_forward1_);
  add("norm_self_att", norm_self_att_);
  add("norm_conv", norm_conv_);
  add("norm_feed_forward2", norm_feed_forward2_);
  add("norm_out", norm_out_);
}

at::Tensor ConformerBlock::forward(const at::Tensor& input, const at::Tensor& positions) const {
  auto x = input + 0.5 * feed_forward1_.forward(norm_feed_forward1_.forward(input));
  x = x + self_attn_.forward(norm_self_att_.forward(x), positions);
  x = x + conv_.forward(norm_conv_.forward(x));
  return norm_out_.forward(x + 0.5 * feed_forward2_.forward(norm_feed_forward2_.forward(x)));
}

}  // namespace antiphon::nn
