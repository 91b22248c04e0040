#include <antiphon/nn/blocks/packed_vit.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/attention/attention.h>
#include <antiphon/nn/blocks/run_blocks.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace antiphon::nn {
namespace {

int64_t head_size(const PackedVitOptions& o, const std::string& plugin) {
  if (o.hidden_size % (4 * o.num_heads) != 0)
    fail(ErrorKind::config,
         fmt::format("{}: hidden_size = {} is not a multiple of 4 * num_heads = {}", plugin, o.hidden_size,
                     4 * o.num_heads),
         "heads turn by row and column, in pairs of values");
  return o.hidden_size / o.num_heads;
}

// [frames or 1, 3, height, width] -> [patches, 3 * frames * size * size].
at::Tensor packed_patches_of(const at::Tensor& part, int64_t frames, int64_t size) {
  const int64_t rows = part.size(2) / size, columns = part.size(3) / size;
  return part.expand({frames, 3, part.size(2), part.size(3)})
      .reshape({frames, 3, rows, size, columns, size})
      .permute({2, 4, 1, 0, 3, 5})
      .reshape({rows * columns, 3 * frames * size * size});
}

}  // namespace

std::pair<at::Tensor, at::Tensor> stretched_positions(const std::vector<TokenGrid>& grids, int64_t edge) {
  std::vector<int64_t> indices;
  std::vector<float> weights;
  // In float32 and in this order, as the reference computes it.
  const auto place = [edge](int64_t index, int64_t size) {
    return static_cast<float>(index) * static_cast<float>(edge - 1) /
           static_cast<float>(std::max<int64_t>(1, size - 1));
  };
  for (const auto& [rows, columns] : grids)
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) {
        const float y = place(row, rows), x = place(column, columns), top = std::floor(y), left = std::floor(x);
        for (const int64_t down : {0, 1})
          for (const int64_t right : {0, 1}) {
            const auto at_row = std::min(static_cast<int64_t>(top) + down, edge - 1);
            const auto at_column = std::min(static_cast<int64_t>(left) + right, edge - 1);
            indices.push_back(at_row * edge + at_column);
            weights.push_back((1 - std::abs(y - top - static_cast<float>(down))) *
                              (1 - std::abs(x - left - static_cast<float>(right))));
          }
      }
  return {at::tensor(indices, at::kLong).view({-1, 4}), at::tensor(weights, at::kFloat).view({-1, 4})};
}

PackedPatches packed_patches(const std::vector<TokenGrid>& grids, int64_t window) {
  PackedPatches out;
  std::vector<int64_t> order, rows, columns;
  for (const auto& grid : grids) {
    const auto before = static_cast<int64_t>(order.size());
    const int64_t height = window ? window : grid.rows, width = window ? window : grid.columns;
    for (int64_t top = 0; top < grid.rows; top += height)
      for (int64_t left = 0; left < grid.columns; left += width) {
        const int64_t bottom = std::min(top + height, grid.rows), right = std::min(left + width, grid.columns);
        for (int64_t row = top; row < bottom; ++row)
          for (int64_t column = left; column < right; ++column)
            order.push_back(before + row * grid.columns + column), rows.push_back(row), columns.push_back(column);
        out.windows.push_back((bottom - top) * (right - left));
      }
    out.pictures.push_back(grid.count());
  }
  if (!std::ranges::is_sorted(order)) out.order_t = at::tensor(order, at::kLong);
  out.place_at = at::stack({at::tensor(rows, at::kLong), at::tensor(columns, at::kLong)});
  return out;
}

PackedVitLayer::PackedVitLayer(const PackedVitOptions& o)
    : num_heads_(o.num_heads),
      norm1_(o.norm, o.hidden_size, o.norm_eps),
      norm2_(o.norm, o.hidden_size, o.norm_eps),
      o_proj_(o.hidden_size, o.hidden_size, o.biases),
      mlp_(BlockMlpOptions{o.hidden_size, o.intermediate_size, o.activation, o.gated_mlp, o.biases}) {
  add("norm1", norm1_);
  const std::vector<std::string> kinds =
      o.fused_qkv ? std::vector<std::string>{"qkv"} : std::vector<std::string>{"q", "k", "v"};
  for (const auto& kind : kinds) {
    const auto out = static_cast<int64_t>(kind.size()) * o.hidden_size;
    projections_.push_back(std::make_unique<Linear>(o.hidden_size, out, o.biases));
    add(fmt::format("self_attn.{}_proj", kind), *projections_.back());
    projections_.back()->keep_packed();
  }
  for (auto* linear : {&o_proj_, &mlp_.up, &mlp_.down}) linear->keep_packed();
  if (mlp_.gate) mlp_.gate->keep_packed();
  add("self_attn.o_proj", o_proj_);
  add("norm2", norm2_);
  add("mlp", mlp_);
}

at::Tensor PackedVitLayer::attend(const at::Tensor& x_td, const RopeTable& rope,
                                  const std::vector<int64_t>& lengths) const {
  std::vector<at::Tensor> projected;
  for (const auto& projection : projections_) projected.push_back(projection->forward(x_td));
  const auto all = projected.size() == 1 ? projected[0].view({x_td.size(0), 3, -1}).transpose(0, 1).contiguous()
                                         : at::stack(projected);
  const auto qkv = all.view({3, x_td.size(0), num_heads_, -1});
  return o_proj_.forward(packed_attention(apply_rope(qkv[0], rope), apply_rope(qkv[1], rope), qkv[2], lengths, false));
}

at::Tensor PackedVitLayer::forward(const at::Tensor& x_td, const RopeTable& rope,
                                   const std::vector<int64_t>& lengths) const {
  const auto x = x_td + attend(norm1_.forward(x_td), rope, lengths);
  return x + mlp_.forward(norm2_.forward(x));
}

PackedVit::PackedVit(const PackedVitOptions& o, const std::string& plugin)
    : options_(o), rope_(Rope::of_grid(head_size(o, plugin), o.rope_theta, o.interleaved_rope)) {
  activate(o.activation, at::empty({0}));  // an unknown name is an error now, and not at the first batch
  for (const auto& [layers, use] : {std::pair(&o.full_layers, "see all of a picture"), std::pair(&o.taps, "tap")})
    for (const int64_t layer : *layers)
      if (layer >= o.num_layers)
        fail(ErrorKind::config,
             fmt::format("{}: there is no block {} to {}; there are {}", plugin, layer, use, o.num_layers));
  if (std::ranges::adjacent_find(o.taps, std::greater_equal<>()) != o.taps.end())
    fail(ErrorKind::config, fmt::format("{}: blocks to tap that do not rise: {}", plugin, fmt::join(o.taps, ", ")));
  std::vector<int64_t> patch{o.hidden_size, 3, o.frames, o.patch_size, o.patch_size};
  if (o.flat_patches) patch.erase(patch.begin() + 2);
  add("patch_projection.weight", patch_weight_, patch, Init::linear_uniform, Role::filter);
  if (o.patch_bias) add("patch_projection.bias", patch_bias_, {o.hidden_size}, Init::zeros, Role::vector);
  if (o.positions > 0)
    add("position_embedding", position_embedding_, {o.positions * o.positions, o.hidden_size}, Init::normal_002,
        Role::embedding);
  if (o.pre_norm) {
    pre_norm_ = std::make_unique<Norm>(o.norm, o.hidden_size, o.norm_eps);
    add("pre_norm", *pre_norm_);
  }
  for (int64_t i = 0; i < o.num_layers; ++i) {
    layers_.push_back(std::make_unique<PackedVitLayer>(o));
    add(fmt::format("layers.{}", i), *layers_.back());
  }
}

// A convolution whose stride equals its size is a product with the patches.
at::Tensor PackedVit::embed(const std::vector<at::Tensor>& parts, const std::vector<TokenGrid>& grids) const {
  std::vector<at::Tensor> patches;
  for (const auto& part : parts) patches.push_back(packed_patches_of(part, options_.frames, options_.patch_size));
  const auto all = at::cat(patches);
  const auto weight = like(patch_weight_, all).flatten(1);
  const auto x = patch_bias_.defined() ? nn::linear(all, weight, like(patch_bias_, all)) : nn::linear(all, weight);
  if (options_.positions == 0) return x;
  auto [indices, weights] = stretched_positions(grids, options_.positions);
  const auto rows = at::embedding(position_embedding_, indices.to(x.device()));
  return x + (rows * weights.to(x.device()).unsqueeze(-1)).sum(1).to(x.scalar_type());
}

bool PackedVit::is_full(size_t layer) const {
  return options_.window == 0 ||
         std::ranges::find(options_.full_layers, static_cast<int64_t>(layer)) != options_.full_layers.end();
}

at::Tensor PackedVit::forward(const std::vector<at::Tensor>& parts) const {
  std::vector<TokenGrid> grids;
  for (const auto& part : parts)
    grids.push_back({part.size(2) / options_.patch_size, part.size(3) / options_.patch_size});
  auto patches = packed_patches(grids, options_.window);
  auto x = embed(parts, grids);
  if (pre_norm_) x = pre_norm_->forward(x);
  if (patches.order_t.defined())
    patches.order_t = patches.order_t.to(x.device()), x = x.index_select(0, patches.order_t);
  const auto rope = rope_.table(patches.place_at.to(x.device()), x.scalar_type());
  const auto run = [this, rope, patches](const auto& layer, const at::Tensor& in, size_t i) {
    return layer.forward(in, rope, is_full(i) ? patches.pictures : patches.windows);
  };
  std::vector<at::Tensor> given(1);
  size_t done = 0;
  for (const auto tap : options_.taps) {
    const auto end = static_cast<size_t>(tap) + 1;
    given.push_back(run_blocks(layers_, done, end, x, run));
    // A node of its own, at which the gradients of the next block's parts meet before that of the tap is added: so the
    // sum is the same, to the bit, if that block is computed again and gives one gradient.
    x = given.back().view_as(given.back());
    done = end;
  }
  given[0] = run_blocks(layers_, done, layers_.size(), x, run);
  const auto all = given.size() == 1 ? given[0] : at::cat(given, -1);
  return patches.order_t.defined() ? all.index_select(0, patches.order_t.argsort()) : all;
}

}  // namespace antiphon::nn
