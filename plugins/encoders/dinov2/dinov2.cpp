#include "dinov2.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/nn/linear.h>

namespace antiphon::dinov2 {
namespace {

int64_t layers_for(const Dinov2Options& o) {
  const int64_t used = o.layer < 0 ? o.num_layers + 1 + o.layer : o.layer;
  if (used < 0 || used > o.num_layers)
    fail(ErrorKind::config,
         fmt::format("dinov2: layer = {} is out of range; the encoder has {} blocks", o.layer, o.num_layers),
         fmt::format("use -{} to {}", o.num_layers + 1, o.num_layers));
  return used;
}

void check(const Dinov2Options& o) {
  if (o.mean.size() != 3 || o.std.size() != 3) fail(ErrorKind::config, "dinov2: mean and std need three values each");
  if (o.hidden_size % o.num_heads != 0)
    fail(ErrorKind::config,
         fmt::format("dinov2: hidden_size = {} is not a multiple of num_heads = {}", o.hidden_size, o.num_heads));
  if (o.input_size < o.patch_size)
    fail(ErrorKind::config,
         fmt::format("dinov2: input_size = {} is smaller than one patch ({})", o.input_size, o.patch_size));
}

}  // namespace

Dinov2::Dinov2(const Dinov2Options& options) : options_(options), layers_used_(layers_for(options)) {
  check(options);
  const int64_t width = options.hidden_size, side = options.image_size / options.patch_size;
  add("cls_token", class_token_, {1, 1, width}, Init::normal_002);
  add("position_embeddings", position_embedding_, {1, side * side + 1, width}, Init::normal_002);
  add("patch_projection.weight", patch_weight_, {width, 3, options.patch_size, options.patch_size},
      Init::linear_uniform);
  add("patch_projection.bias", patch_bias_, {width}, Init::zeros);
  nn::EncoderLayerOptions layer;
  layer.hidden_size = width, layer.intermediate_size = width * options.mlp_ratio, layer.num_heads = options.num_heads;
  layer.norm_eps = options.layer_norm_eps, layer.layer_scale = true, layer.activation = options.activation;
  for (int64_t i = 0; i < layers_used_; ++i) {
    layers_.push_back(std::make_unique<nn::EncoderLayer>(layer));
    add(fmt::format("layers.{}", i), *layers_.back());
  }
  if (last_layer()) {
    norm_ = std::make_unique<nn::Norm>(nn::NormKind::layer, width, options.layer_norm_eps);
    add("norm", *norm_);
  }
}

TokenGrid Dinov2::output_grid(at::IntArrayRef part_shape) const {
  if (part_shape.size() != 3 || part_shape[0] != 3)
    fail(ErrorKind::data,
         fmt::format("dinov2: expected a part [3, height, width], got [{}]", fmt::join(part_shape, ", ")));
  const TokenGrid grid{part_shape[1] / options_.patch_size, part_shape[2] / options_.patch_size};
  return options_.class_token ? TokenGrid{1, grid.count() + 1} : grid;
}

at::Tensor Dinov2::position_embedding(int64_t rows, int64_t columns) const {
  const int64_t side = options_.image_size / options_.patch_size;
  if (rows == side && columns == side) return position_embedding_;
  const auto patches = position_embedding_.narrow(1, 1, side * side).to(at::kFloat);
  const auto table = patches.reshape({1, side, side, -1}).permute({0, 3, 1, 2});
  const auto resized = at::upsample_bicubic2d(table, {rows, columns}, /*align_corners=*/false).permute({0, 2, 3, 1});
  return at::cat({position_embedding_.narrow(1, 0, 1),
                  resized.reshape({1, rows * columns, -1}).to(position_embedding_.scalar_type())},
                 1);
}

at::Tensor Dinov2::embed(const at::Tensor& parts) const {
  const auto patches =
      at::conv2d(parts, nn::like(patch_weight_, parts), nn::like(patch_bias_, parts), options_.patch_size);
  const auto sequence =
      at::cat({nn::like(class_token_, parts).expand({parts.size(0), 1, -1}), patches.flatten(2).transpose(1, 2)}, 1);
  return sequence + nn::like(position_embedding(patches.size(2), patches.size(3)), parts);
}

at::Tensor Dinov2::forward(const at::Tensor& parts) {
  auto x = embed(parts);
  for (const auto& layer : layers_) x = layer->forward(x);
  if (norm_) x = norm_->forward(x);
  return options_.class_token ? x : x.narrow(1, 1, x.size(1) - 1);
}

NameMap Dinov2::name_map() const {
  NameMap map;
  map.rules = {{"embeddings.cls_token", "cls_token"},
               {"embeddings.position_embeddings", "position_embeddings"},
               {"embeddings.patch_embeddings.projection.{}", "patch_projection.{}"},
               {"encoder.layer.{}.norm{}", "layers.{}.norm{}"},
               {"encoder.layer.{}.layer_scale{}.lambda1", "layers.{}.layer_scale{}"},
               {"encoder.layer.{}.attention.attention.query.{}", "layers.{}.self_attn.q_proj.{}"},
               {"encoder.layer.{}.attention.attention.key.{}", "layers.{}.self_attn.k_proj.{}"},
               {"encoder.layer.{}.attention.attention.value.{}", "layers.{}.self_attn.v_proj.{}"},
               {"encoder.layer.{}.attention.output.dense.{}", "layers.{}.self_attn.o_proj.{}"},
               {"encoder.layer.{}.attention.{}", "layers.{}.self_attn.{}"},
               {"encoder.layer.{}.mlp.{}", "layers.{}.mlp.{}"},
               {"layernorm.{}", "norm.{}"}};
  map.ignored = {"embeddings.mask_token"};
  if (!norm_) map.ignored.push_back("layernorm.*");
  for (int64_t i = layers_used_; i < options_.num_layers; ++i)
    map.ignored.push_back(fmt::format("encoder.layer.{}.*", i));
  return map;
}

}  // namespace antiphon::dinov2
