#include "scales.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/media/image/tiles.h>

#include <algorithm>
#include <cmath>

namespace antiphon::siglip {
namespace {

// [n, rows * columns, side², width] -> [n, width, rows * side, columns * side]
at::Tensor put_together(const at::Tensor& features, int64_t rows, int64_t columns) {
  const int64_t n = features.size(0), width = features.size(3),
                side = std::llround(std::sqrt(static_cast<double>(features.size(2))));
  return features.reshape({n, rows, columns, side, side, width})
      .permute({0, 5, 1, 3, 2, 4})
      .reshape({n, width, rows * side, columns * side});
}

}  // namespace

Scales::Scales(const std::vector<int64_t>& edges, const media::ImageProcessing& image) : edges_(edges) {
  if (edges.empty()) return;
  bool good = edges.size() > 1 && edges.front() == image.input_size && std::ranges::is_sorted(edges);
  for (const int64_t edge : edges) good = good && edge % edges.front() == 0;
  const int64_t most = edges.back() / edges.front();
  if (!good || image.max_tiles < most * most)
    fail(ErrorKind::config,
         fmt::format("siglip: s2_scales = [{}] with input_size = {} and max_tiles = {}", fmt::join(edges, ", "),
                     image.input_size, image.max_tiles),
         "give several rising multiples of the first, which is input_size, and max_tiles of at least the last one's "
         "squares");
}

int64_t Scales::lower() const {
  int64_t sum = 0;
  for (size_t i = 0; i + 1 < edges_.size(); ++i) sum += (edges_[i] / edges_[0]) * (edges_[i] / edges_[0]);
  return sum;
}

at::Tensor Scales::process(const MediaItem& item, const media::ImageProcessing& image) const {
  const media::Size picture{item.image.height, item.image.width};
  const int64_t edge = edges_.front(), least = edges_.back() / edge;
  const auto filter = media::filter_from_number(image.resample);
  const auto normalization = media::normalization_of(image);
  std::vector<at::Tensor> tiles;
  const auto add = [&](media::Size grid) {
    auto squares = media::stretched_tiles(item.image, grid, edge, filter);
    squares.resize(static_cast<size_t>(grid.height * grid.width));  // without the whole
    for (const auto& square : squares) tiles.push_back(media::to_tensor(square, normalization));
  };
  for (size_t i = 0; i + 1 < edges_.size(); ++i) add({edges_[i] / edge, edges_[i] / edge});
  const auto last = media::tile_grid(picture, edge, least * least, image.max_tiles);
  while (std::ssize(tiles) % last.width != 0) tiles.push_back(at::zeros_like(tiles.front()));
  add(last);
  return at::stack(tiles).view({-1, last.width, 3, edge, edge});
}

std::vector<int64_t> Scales::example_shape() const {
  const int64_t edge = edges_.front(), side = edges_.back() / edge;
  return {side + (lower() + side - 1) / side, side, 3, edge, edge};
}

TokenGrid Scales::squares(at::IntArrayRef shape) const {
  const int64_t edge = edges_.front();
  const bool good = shape.size() == 5 && shape[1] > 0 && shape[2] == 3 && shape[3] == edge && shape[4] == edge;
  const int64_t rows = good ? shape[0] - (lower() + shape[1] - 1) / shape[1] : 0;
  if (rows < 1)
    fail(ErrorKind::data, fmt::format("siglip: expected a part [rows, columns, 3, {}, {}] of {} squares and more, got "
                                      "[{}]",
                                      edge, edge, lower(), fmt::join(shape, ", ")));
  return {rows, shape[1]};
}

at::Tensor Scales::tiles(const at::Tensor& parts) const {
  const auto last = squares(parts.sizes().slice(1));
  const auto all = parts.flatten(1, 2);
  return at::cat({all.narrow(1, 0, lower()), all.narrow(1, all.size(1) - last.count(), last.count())}, 1);
}

// Averaged in float32, as the reference does.
at::Tensor Scales::joined(const at::Tensor& features, const TokenGrid& last) const {
  std::vector<at::Tensor> scales;
  int64_t begin = 0;
  for (size_t i = 0; i + 1 < edges_.size(); ++i) {
    const int64_t side = edges_[i] / edges_[0];
    scales.push_back(put_together(features.narrow(1, begin, side * side), side, side));
    begin += side * side;
  }
  scales.push_back(put_together(features.narrow(1, begin, last.count()), last.rows, last.columns));
  const auto size = scales.back().sizes().slice(2).vec();
  for (auto& scale : scales) scale = at::adaptive_avg_pool2d(scale.to(at::kFloat), size).to(features.scalar_type());
  return at::cat(scales, 1).flatten(2).transpose(1, 2).contiguous();
}

}  // namespace antiphon::siglip
