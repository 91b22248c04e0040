// A matrix in 4-bit NormalFloat numbers with doubly quantised scales, for training adapters over it. Source:
// Dettmers et al. 2023 (QLoRA), section 3 and appendix E; the layout and rounding of bitsandbytes (0.50,
// functional.quantize_4bit with compress_statistics).
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include <antiphon/component/module.h>

namespace antiphon::comm {
class Group;
}

namespace antiphon::nn {

// weight = table[value] · scale: one of 16 numbers between -1 and 1, and the largest magnitude of its block of kBlock
// values of a row. Scales less their mean are dynamic 8-bit numbers, times the largest magnitude of kScaleBlock of
// them.
struct Nf4Weight {
  static constexpr int64_t kBlock = 64, kScaleBlock = 256;

  int64_t out = 0, in = 0;
  at::Tensor values;           // [out, in / 2] uint8, the first of two in the high half
  at::Tensor scales;           // [out * in / kBlock] uint8
  at::Tensor scale_of_scales;  // [ceil(scales / kScaleBlock)] float32
  float mean_scale = 0;
  // Of a part of a matrix, whose scales are the whole's: which row and block of a row of it come first, of how many.
  int64_t first_row = 0, first_block = 0, blocks_in_row = 0;

  // Whether a matrix [out, in] can be stored so: rows are whole blocks.
  static bool fits(const at::Tensor& weight);
  // With a box: it is a part of a matrix, of whole blocks, and the group has all parts, whose processes call this
  // alike.
  static Nf4Weight of(const at::Tensor& weight, const std::optional<Box>& box = std::nullopt,
                      comm::Group* parts = nullptr);

  // Rows [row, row + rows) and columns [column, column + columns), whole blocks, float32, bfloat16 or float16.
  at::Tensor dequantized(at::ScalarType dtype, int64_t row, int64_t rows, int64_t column, int64_t columns) const;
  at::Tensor dequantized(at::ScalarType dtype) const { return dequantized(dtype, 0, out, 0, in); }
  int64_t bytes() const {
    return static_cast<int64_t>(values.nbytes() + scales.nbytes() + scale_of_scales.nbytes() + sizeof mean_scale);
  }
};

// x [..., in], bias [out] in x's dtype or undefined -> [..., out]; differentiable with respect to x and the bias. Tiles
// of the weight are in x's dtype, one at a time, in both passes.
at::Tensor nf4_linear(const at::Tensor& x, const Nf4Weight& weight, const at::Tensor& bias);

}  // namespace antiphon::nn
