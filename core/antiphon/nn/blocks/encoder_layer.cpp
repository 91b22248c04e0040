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
      norm1_(o.norm, o.hidden_size, o.norm_eps),
      norm2_(o.norm, o.hidden_size, o.norm_eps),
      o_proj_(o.hidden_size, o.hidden_size, true),
      fc1_(o.hidden_size, o.intermediate_size, true),
      fc2_(o.intermediate_size, o.hidden_size, true) {
  for (auto* linear : {&o_proj_, &fc1_, &fc2_}) linear->keep_packed();
  activate(o.activation, at::empty({0}));  // an unknown name is an error now, and not at the first batch
  add("norm1", norm1_);
  add_projections();
  add("self_attn.o_proj", o_proj_);
  if (o.layer_scale) add("layer_scale1", scale1_, {o.hidden_size}, Init::ones, Role::vector);
  add("norm2", norm2_);
  add("mlp.fc1", fc1_);
  add("mlp.fc2", fc2_);
  if (o.layer_scale) add("layer_scale2", scale2_, {o.hidden_size}, Init::ones, Role::vector);
}

void EncoderLayer::add_projections() {
  const auto& o = options_;
  const std::vector<std::string> kinds =
      o.fused_qkv ? std::vector<std::string>{"qkv"} : std::vector<std::string>{"q", "k", "v"};
  for (const auto& kind : kinds) {
    const auto out = static_cast<int64_t>(kind.size()) * o.hidden_size;
    projections_.push_back(std::make_unique<Linear>(o.hidden_size, out, o.qkv_bias && (o.key_bias || kind != "k")));
    projections_.back()->keep_packed();
    add(fmt::format("self_attn.{}_proj", kind), *projections_.back());
  }
  if (o.qk_norm_eps == 0) return;
  q_norm_ = std::make_unique<Norm>(NormKind::rms, o.hidden_size, o.qk_norm_eps);
  k_norm_ = std::make_unique<Norm>(NormKind::rms, o.hidden_size, o.qk_norm_eps);
  add("self_attn.q_norm", *q_norm_);
  add("self_attn.k_norm", *k_norm_);
}

// Queries, keys and values, [n, tokens, hidden_size] each.
std::array<at::Tensor, 3> EncoderLayer::projected(const at::Tensor& x) const {
  std::array<at::Tensor, 3> qkv;
  if (options_.fused_qkv) {
    const auto all = projections_.front()->forward(x).chunk(3, -1);
    for (size_t i = 0; i < 3; ++i) qkv[i] = all[i].contiguous();
  } else {
    for (size_t i = 0; i < 3; ++i) qkv[i] = projections_[i]->forward(x);
  }
  if (q_norm_) qkv[0] = q_norm_->forward(qkv[0]), qkv[1] = k_norm_->forward(qkv[1]);
  return qkv;
}

at::Tensor EncoderLayer::attend(const at::Tensor& x, const std::vector<int64_t>& lengths) const {
  auto qkv = projected(x);
  for (auto& vectors : qkv) vectors = vectors.view({x.numel() / x.size(-1), options_.num_heads, -1});
  const auto y = packed_attention(qkv[0], qkv[1], qkv[2], lengths, options_.causal);
  return o_proj_.forward(y.view(x.sizes()));
}

at::Tensor EncoderLayer::scaled(at::Tensor y, const at::Tensor& scale) const {
  if (scale.defined()) return y * like(scale, y);
  return y;
}

at::Tensor EncoderLayer::forward(const at::Tensor& x) const {
  return forward(x, std::vector<int64_t>(static_cast<size_t>(x.size(0)), x.size(1)));
}

at::Tensor EncoderLayer::forward(const at::Tensor& x, const std::vector<int64_t>& lengths) const {
  const auto h = sum(x, scaled(attend(norm1_.forward(x), lengths), scale1_));
  return sum(h, scaled(fc2_.forward(activate(options_.activation, fc1_.forward(norm2_.forward(h)))), scale2_));
}

}  // namespace antiphon::nn
