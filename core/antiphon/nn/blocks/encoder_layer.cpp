#include <antiphon/nn/blocks/encoder_layer.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/attention/attention.h>
#include <antiphon/nn/token_slices.h>

#include <numeric>

namespace antiphon::nn {
namespace {

at::Tensor sum(const at::Tensor& x, at::Tensor y) { return is_spare(y) ? y.add_(x) : x + y; }

// Of the tokens of all sequences, how many each part has.
std::vector<int64_t> sizes_of(const std::vector<int64_t>& lengths, comm::Group* parts) {
  return TokenSlices{parts, nullptr, parts}.in_parts(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
}

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
  auto sizes = qkv[0].sizes().vec();
  const auto head_size = options_.hidden_size / options_.num_heads;
  for (auto& vectors : qkv) vectors = vectors.view({x.numel() / x.size(-1), -1, head_size});
  const auto y = packed_attention(qkv[0], qkv[1], qkv[2], lengths, options_.causal);
  return o_proj_.forward(y.view(sizes));
}

at::Tensor EncoderLayer::scaled(at::Tensor y, const at::Tensor& scale) const {
  if (scale.defined()) return y * like(scale, y);
  return y;
}

at::Tensor EncoderLayer::forward(const at::Tensor& x) const {
  return forward(x, std::vector<int64_t>(static_cast<size_t>(x.size(0)), x.size(1)));
}

at::Tensor EncoderLayer::forward(const at::Tensor& x, const std::vector<int64_t>& lengths) const {
  const auto attended = left(attend(entered(norm1_.forward(x), lengths), lengths), lengths);
  const auto h = sum(x, scaled(o_proj_.after_sum(attended), scale1_));
  const auto inner = activate(options_.activation, fc1_.forward(entered(norm2_.forward(h), lengths)));
  return sum(h, scaled(fc2_.after_sum(left(fc2_.forward(inner), lengths)), scale2_));
}

at::Tensor EncoderLayer::entered(const at::Tensor& x, const std::vector<int64_t>& lengths) const {
  return parts() ? whole_tokens(x, sizes_of(lengths, parts()), *parts()) : x;
}

at::Tensor EncoderLayer::left(const at::Tensor& x, const std::vector<int64_t>& lengths) const {
  return parts() ? slice_of_sum(x, sizes_of(lengths, parts()), *parts()) : x;
}

void EncoderLayer::share(comm::Group& parts) {
  if (options_.fused_qkv || q_norm_) fail(ErrorKind::internal, "such a layer is not divided among processes");
  const auto head_size = options_.hidden_size / options_.num_heads;
  const auto heads = part_of(options_.num_heads, parts.rank(), parts.size()),
             inner = part_of(options_.intermediate_size, parts.rank(), parts.size());
  for (auto& projection : projections_) projection->keep_outputs(heads.begin * head_size, heads.size * head_size);
  o_proj_.keep_inputs(heads.begin * head_size, heads.size * head_size, parts);
  fc1_.keep_outputs(inner.begin, inner.size);
  fc2_.keep_inputs(inner.begin, inner.size, parts);
  for (auto& site : sites()) site.linear->together = &parts;
}

}  // namespace antiphon::nn
