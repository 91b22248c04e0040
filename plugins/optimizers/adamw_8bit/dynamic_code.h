// Block-wise dynamic 8-bit numbers: Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization", sections 1.3
// and 2. A block is divided by its largest magnitude, and each value becomes the nearest of 256 between -1 and 1: 0, 1,
// and for each decade 10^-6 … 1 the middles of 1, 2, … 64 equal parts of its upper nine tenths, of both signs; without
// a sign twice as many parts.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::adamw_8bit {

// [256] float32, ascending.
at::Tensor dynamic_map(bool with_sign);

// Codes of a tensor with their blocks' scales; what is encoded is decoded to the nearest of the map.
class DynamicCode {
 public:
  DynamicCode(bool with_sign, int64_t block_size);
  // x [any] float32 -> codes [the same] uint8 and scales [blocks] float32, which are written over. A value half-way
  // between two of the map takes the lower.
  void encode(const at::Tensor& x, const at::Tensor& codes, const at::Tensor& scales) const;
  // [any] uint8 and [blocks] -> [the same] float32.
  at::Tensor decode(const at::Tensor& codes, const at::Tensor& scales) const;
  int64_t blocks(int64_t values) const { return (values + block_size_ - 1) / block_size_; }

 private:
  at::Tensor of_blocks(const at::Tensor& x) const;
  int64_t block_size_;
  at::Tensor map_, middles_;  // on the CPU
};

}  // namespace antiphon::adamw_8bit
