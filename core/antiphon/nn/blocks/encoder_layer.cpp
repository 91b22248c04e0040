#include <antiphon/nn/blocks/encoder_layer.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/attention/attention.h>

namespace antiphon::nn {
namespace {

at::Tensor sum(const at::Tensor& x, at::Tensor y) { return is_spare(y) ? y.add_(x) : x + y; }

}  // namespace

int64_t layers_used(std::string_view plugin, int64_t layer, int64_t num_layers) {
  const int64_t used = layer < 0 ? num_layers + 1 + layer : layer;
  if (used < 0 || used > num_layers)
    fail(ErrorKind::config,
         fmt::format("{}: layer = {} is out of range; the encoder has {} blocks", plugin, layer, num_layers),
         fmt::format("use -{} to {}", num_layers + 1, num_layers));
  return used;
}

EncoderLayer::EncoderLayer(const EncoderLayerOptions& o)
    : options_(o),
      norm1_(NormKind::layer, o.hidden_size, o.norm_eps),
      norm2_(NormKind::layer, o.hidden_size, o.norm_eps),
      q_proj_(o.hidden_size, o.hidden_size, true),
      k_proj_(o.hidden_size, o.hidden_size, o.key_bias),
      v_proj_(o.hidden_size, o.hidden_size, true),
      o_proj_(o.hidden_size, o.hidden_size, true),
      fc1_(o.hidden_size, o.intermediate_size, true),
      fc2_(o.intermediate_size, o.hidden_size, true) {
  for (auto* linear : {&q_proj_, &k_proj_, &v_proj_, &o_proj_, &fc1_, &fc2_}) linear->keep_packed();
  activate(o.activation, at::empty({0}));  // an unknown name is an error now, and not at the first batch
  add("norm1", norm1_);
  add("self_attn.q_proj", q_proj_);
  add("self_attn.k_proj", k_proj_);
  add("self_attn.v_proj", v_proj_);
  add("self_attn.o_proj", o_proj_);
  if (o.layer_scale) add("layer_scale1", scale1_, {o.hidden_size}, Init::ones, Role::vector);
  add("norm2", norm2_);
  add("mlp.fc1", fc1_);
  add("mlp.fc2", fc2_);
  if (o.layer_scale) add("layer_scale2", scale2_, {o.hidden_size}, Init::ones, Role::vector);
}

at::Tensor EncoderLayer::attend(const at::Tensor& x) const {
  auto heads = [&](const Linear& projection) {
    return projection.forward(x).view({x.size(0) * x.size(1), options_.num_heads, -1});
  };
  const std::vector<int64_t> lengths(static_cast<size_t>(x.size(0)), x.size(1));
  const auto y = packed_attention(heads(q_proj_), heads(k_proj_), heads(v_proj_), lengths, false);
  return o_proj_.forward(y.view(x.sizes()));
}

at::Tensor EncoderLayer::scaled(at::Tensor y, const at::Tensor& scale) const {
  if (scale.defined()) return y * like(scale, y);
  return y;
}

at::Tensor EncoderLayer::forward(const at::Tensor& x) const {
  const auto h = sum(x, scaled(attend(norm1_.forward(x)), scale1_));
  return sum(h, scaled(fc2_.forward(activate(options_.activation, fc1_.forward(norm2_.forward(h)))), scale2_));
}

}  // namespace antiphon::nn
