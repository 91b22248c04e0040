#include <antiphon/nn/blocks/vit.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::nn {
namespace {

int64_t checked_layers(const VitOptions& o, const std::string& plugin) {
  const int64_t used = layers_used(plugin, o.layer, o.num_layers);
  if (o.hidden_size % o.num_heads != 0)
    fail(ErrorKind::config,
         fmt::format("{}: hidden_size = {} is not a multiple of num_heads = {}", plugin, o.hidden_size, o.num_heads));
  if (o.image_size < o.patch_size)
    fail(ErrorKind::config,
         fmt::format("{}: image_size = {} is smaller than one patch ({})", plugin, o.image_size, o.patch_size));
  return used;
}

EncoderLayerOptions block(const VitOptions& o, const VitKind& kind) {
  EncoderLayerOptions layer;
  layer.hidden_size = o.hidden_size, layer.intermediate_size = o.intermediate_size, layer.num_heads = o.num_heads;
  layer.norm_eps = o.layer_norm_eps, layer.layer_scale = kind.layer_scale, layer.activation = o.activation;
  layer.norm = kind.norm, layer.qkv_bias = kind.qkv_bias, layer.fused_qkv = kind.fused_qkv;
  layer.qk_norm_eps = kind.qk_norm_eps;
  return layer;
}

// A convolution whose stride equals its size is a product with the patches, and faster as one.
// [n, 3, height, width] -> [n, patches, 3 * size * size]; incomplete patches are dropped.
at::Tensor patches_of(const at::Tensor& parts, int64_t size) {
  const int64_t n = parts.size(0), rows = parts.size(2) / size, columns = parts.size(3) / size;
  const auto whole = parts.narrow(2, 0, rows * size).narrow(3, 0, columns * size);
  const auto cut = whole.reshape({n, 3, rows, size, columns, size}).permute({0, 2, 4, 1, 3, 5});
  return cut.reshape({n, rows * columns, 3 * size * size});
}

// Which of `side` places each of `count` patches takes along an edge: the last that begins before it does, in float32
// and with operations in this order, as transformers' Idefics3VisionEmbeddings has it. Rounding puts some of them a
// place lower, with tables of some sizes (25) in a grid of that size, too, and weights are trained so.
at::Tensor places_along(int64_t count, int64_t side) {
  const auto floats = at::TensorOptions(at::kFloat);
  const double step = 1.0 / static_cast<double>(side);
  const auto begins = at::arange(count, floats) * at::full({1}, count, at::kLong).reciprocal();
  return at::bucketize(begins.clamp_max(1.0 - 1e-6), at::arange(step, 1.0, step, floats), /*out_int32=*/false,
                       /*right=*/true);
}

// The places of rows x columns patches in a table of side x side, row by row.
at::Tensor bucketed_places(int64_t rows, int64_t columns, int64_t side) {
  return (places_along(rows, side).unsqueeze(1) * side + places_along(columns, side)).flatten();
}

}  // namespace

Vit::Vit(const VitOptions& o, const VitKind& kind)
    : options_(o), kind_(kind), layers_used_(checked_layers(o, kind.plugin)) {
  const int64_t width = o.hidden_size, side = o.image_size / o.patch_size, positions = side * side + kind.class_token;
  using Shape = std::vector<int64_t>;
  if (kind.class_token)
    add("cls_token", class_token_, kind.batched_tables ? Shape{1, 1, width} : Shape{width}, Init::normal_002,
        Role::vector);
  add("position_embeddings", position_embedding_,
      kind.batched_tables ? Shape{1, positions, width} : Shape{positions, width}, Init::normal_002, Role::embedding);
  add("patch_projection.weight", patch_weight_, {width, 3, o.patch_size, o.patch_size}, Init::linear_uniform,
      Role::filter);
  if (kind.patch_bias) add("patch_projection.bias", patch_bias_, {width}, Init::zeros, Role::vector);
  if (kind.pre_norm) {
    pre_norm_ = std::make_unique<Norm>(NormKind::layer, width, o.layer_norm_eps);
    add("pre_norm", *pre_norm_);
  }
  for (int64_t i = 0; i < layers_used_; ++i) {
    layers_.push_back(std::make_unique<EncoderLayer>(block(o, kind)));
    add(fmt::format("layers.{}", i), *layers_.back());
  }
  if (kind.final_norm && o.layer == -1) {
    norm_ = std::make_unique<Norm>(NormKind::layer, width, o.layer_norm_eps);
    add("norm", *norm_);
  }
}

void Vit::pool_with(std::unique_ptr<VitPool> pool) {
  if (options_.layer != -1)
    fail(ErrorKind::config,
         fmt::format("{}: pooled = true needs the last layer, not layer = {}", kind_.plugin, options_.layer),
         "leave layer out, or pooled");
  pool_ = std::move(pool);
  add("pool", *pool_);
}

TokenGrid Vit::grid(at::IntArrayRef part_shape) const {
  if (part_shape.size() != 3 || part_shape[0] != 3 || part_shape[1] < options_.patch_size ||
      part_shape[2] < options_.patch_size)
    fail(ErrorKind::data,
         fmt::format("{}: expected a part [3, height, width] of at least one patch of {} pixels, got [{}]",
                     kind_.plugin, options_.patch_size, fmt::join(part_shape, ", ")));
  return {part_shape[1] / options_.patch_size, part_shape[2] / options_.patch_size};
}

at::Tensor Vit::position_embedding(int64_t rows, int64_t columns) const {
  const int64_t side = options_.image_size / options_.patch_size, first = kind_.class_token;
  const auto all = position_embedding_.view({1, -1, options_.hidden_size});
  if (kind_.bucketed_positions) return all.index_select(1, bucketed_places(rows, columns, side).to(all.device()));
  if (rows == side && columns == side) return all;
  const auto patches = all.narrow(1, first, side * side).to(at::kFloat);
  const auto table = patches.reshape({1, side, side, -1}).permute({0, 3, 1, 2});
  const auto resized = at::upsample_bicubic2d(table, {rows, columns}, /*align_corners=*/false).permute({0, 2, 3, 1});
  const auto grid = resized.reshape({1, rows * columns, -1}).to(all.scalar_type());
  return first ? at::cat({all.narrow(1, 0, 1), grid}, 1) : grid;
}

at::Tensor Vit::embed(const at::Tensor& parts) const {
  const int64_t size = options_.patch_size, rows = parts.size(2) / size, columns = parts.size(3) / size;
  auto x = nn::linear(patches_of(parts, size), like(patch_weight_, parts).flatten(1), like(patch_bias_, parts));
  if (kind_.class_token) x = at::cat({like(class_token_, parts).view({1, 1, -1}).expand({x.size(0), 1, -1}), x}, 1);
  return x + like(position_embedding(rows, columns), parts);
}

at::Tensor Vit::forward(const at::Tensor& parts) const {
  auto x = embed(parts);
  if (pre_norm_) x = pre_norm_->forward(x);
  x = run_blocks(layers_, x, [](const auto& layer, const at::Tensor& in, size_t) { return layer.forward(in); });
  if (norm_) x = norm_->forward(x);
  return pool_ ? pool_->forward(x).unsqueeze(1) : x;
}

std::vector<std::string> Vit::unused(const std::string& block, const std::string& norm) const {
  std::vector<std::string> names;
  if (!norm_ && !pool_) names.push_back(norm);  // a pool may begin with it
  for (int64_t i = layers_used_; i < options_.num_layers; ++i) names.push_back(fmt::format(fmt::runtime(block), i));
  return names;
}

}  // namespace antiphon::nn
