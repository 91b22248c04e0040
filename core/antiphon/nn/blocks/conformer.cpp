#include <antiphon/nn/blocks/conformer.h>

#include <ATen/ATen.h>

#include <antiphon/nn/activation.h>

#include <cmath>
#include <limits>

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
      dropout_(o.dropout),
      linear1_(o.hidden_size, o.intermediate_size, o.attention_bias),
      linear2_(o.intermediate_size, o.hidden_size, o.attention_bias) {
  linear1_.keep_packed(), linear2_.keep_packed();
  add("linear1", linear1_);
  add("linear2", linear2_);
}

at::Tensor FeedForward::forward(const at::Tensor& x, bool training) const {
  return linear2_.forward(at::dropout(activate(activation_, linear1_.forward(x)), dropout_, training));
}

RelativeAttention::RelativeAttention(const ConformerOptions& o)
    : num_heads_(o.num_heads),
      head_size_(o.hidden_size / o.num_heads),
      dropout_(o.attention_dropout),
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
  add("bias_u", bias_u_, {num_heads_, head_size_}, Init::zeros, Role::vector);
  add("bias_v", bias_v_, {num_heads_, head_size_}, Init::zeros, Role::vector);
}

// Query i and key j are i - j apart: row i holds the scores of distances t - 1 … 1 - t, of which it needs those from i
// downwards. Reading the padded rows one place short shifts each by one more ("rel_shift" of Transformer-XL).
at::Tensor RelativeAttention::position_scores(const at::Tensor& q, const at::Tensor& positions) const {
  const int64_t n = q.size(0), t = q.size(2), distances = positions.size(0);
  const auto keys = relative_k_proj_.forward(positions).view({distances, num_heads_, head_size_}).permute({1, 2, 0});
  const auto scores = at::matmul(q + like(bias_v_, q).unsqueeze(1), keys);
  const auto shifted = at::constant_pad_nd(scores, {1, 0}).view({n, num_heads_, distances + 1, t});
  return shifted.narrow(2, 1, distances).reshape({n, num_heads_, t, distances}).narrow(3, 0, t);
}

at::Tensor RelativeAttention::forward(const at::Tensor& x, const ConformerPass& pass) const {
  auto heads = [&](const Linear& projection) {
    return projection.forward(x).view({x.size(0), x.size(1), num_heads_, head_size_}).transpose(1, 2);
  };
  const auto q = heads(q_proj_);
  auto bias = position_scores(q, pass.positions) / std::sqrt(static_cast<double>(head_size_));
  if (pass.padding_nt.defined())
    bias = bias.masked_fill(pass.padding_nt.unsqueeze(1).unsqueeze(1), -std::numeric_limits<double>::infinity());
  const auto y = at::scaled_dot_product_attention(q + like(bias_u_, q).unsqueeze(1), heads(k_proj_), heads(v_proj_),
                                                  bias.contiguous(), pass.training ? dropout_ : 0.0);
  return o_proj_.forward(y.transpose(1, 2).reshape(x.sizes()));
}

ConformerConvolution::ConformerConvolution(const ConformerOptions& o)
    : kernel_size_(o.kernel_size), activation_(o.activation), norm_(o.hidden_size) {
  const int64_t width = o.hidden_size;
  add_conv("pointwise_conv1", wide_weight_, wide_bias_, {2 * width, width, 1}, o.convolution_bias);
  add_conv("depthwise_conv", depth_weight_, depth_bias_, {width, 1, o.kernel_size}, o.convolution_bias);
  add("norm", norm_);
  add_conv("pointwise_conv2", out_weight_, out_bias_, {width, width, 1}, o.convolution_bias);
}

void ConformerConvolution::add_conv(const std::string& name, at::Tensor& weight, at::Tensor& bias,
                                    at::IntArrayRef shape, bool has_bias) {
  add(name + ".weight", weight, shape, Init::linear_uniform, Role::filter);
  if (has_bias) add(name + ".bias", bias, {shape[0]}, Init::zeros, Role::vector);
}

at::Tensor ConformerConvolution::forward(const at::Tensor& x, const ConformerPass& pass) const {
  const auto wide = nn::linear(x, like(wide_weight_, x).squeeze(2), like(wide_bias_, x));
  auto gated = at::glu(wide, -1).transpose(1, 2);
  if (pass.padding_nt.defined()) gated = gated.masked_fill(pass.padding_nt.unsqueeze(1), 0);
  const auto mixed =
      at::conv1d(gated, like(depth_weight_, x), like(depth_bias_, x), 1, (kernel_size_ - 1) / 2, 1, gated.size(1));
  const auto y = activate(activation_, norm_.forward(mixed, pass.training)).transpose(1, 2);
  return nn::linear(y, like(out_weight_, x).squeeze(2), like(out_bias_, x));
}

ConformerBlock::ConformerBlock(const ConformerOptions& o)
    : dropout_(o.dropout),
      feed_forward1_(o),
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

at::Tensor ConformerBlock::forward(const at::Tensor& input, const ConformerPass& pass) const {
  const auto dropped = [&](const at::Tensor& y) { return at::dropout(y, dropout_, pass.training); };
  auto x = input + 0.5 * dropped(feed_forward1_.forward(norm_feed_forward1_.forward(input), pass.training));
  x = x + dropped(self_attn_.forward(norm_self_att_.forward(x), pass));
  x = x + dropped(conv_.forward(norm_conv_.forward(x), pass));
  return norm_out_.forward(x + 0.5 * dropped(feed_forward2_.forward(norm_feed_forward2_.forward(x), pass.training)));
}

}  // namespace antiphon::nn
