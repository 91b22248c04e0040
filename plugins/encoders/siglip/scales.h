// Pictures at several scales, whose features are joined (S2, Shi et al. 2024), as NVILA takes them ("dynamic_s2":
// NVlabs/VILA, llava/mm_utils.py dynamic_s2_preprocess, llava/model/llava_arch.py merge_features_for_dynamic_s2): each
// but the last is a square of so many squares of the first; the last has at least as many squares as it says, in the
// grid that fits the picture's shape best, and all features are brought to its grid.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include <antiphon/component/encoder.h>
#include <antiphon/media/image/image_processor.h>

namespace antiphon::siglip {

class Scales {
 public:
  Scales() = default;
  // `edges`: of the scales, pixels, rising multiples of the first, which is `image.input_size`. Error(config) for
  // others, and if max_tiles are fewer than the last has. None: there is one scale, and nothing below is used.
  Scales(const std::vector<int64_t>& edges, const media::ImageProcessing& image);
  int64_t count() const { return static_cast<int64_t>(edges_.size()); }
  // A part [rows, columns, 3, edge, edge]: the squares of all scales but the last, one scale after the other, row by
  // row; in whole rows, filled up with zeros; then those of the last, as they lie.
  at::Tensor process(const MediaItem& item, const media::ImageProcessing& image) const;
  std::vector<int64_t> example_shape() const;
  // Of the last scale's squares. Error(data) for a part of another shape.
  TokenGrid squares(at::IntArrayRef part_shape) const;
  // parts [n, …] -> [n, squares, 3, edge, edge], without what fills up.
  at::Tensor tiles(const at::Tensor& parts) const;
  // Features of these [n, squares, side², width] -> [n, rows * side * columns * side, count() * width], row by row.
  at::Tensor joined(const at::Tensor& features, const TokenGrid& last) const;

 private:
  int64_t lower() const;  // squares of all scales but the last
  std::vector<int64_t> edges_;
};

}  // namespace antiphon::siglip
