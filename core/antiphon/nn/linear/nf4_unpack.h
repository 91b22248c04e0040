// What the bits of a matrix in nf4 stand for: a kernel on the CPU, LibTorch's operations on other devices, the same
// numbers to the bit. Used inside this area.
#pragma once
#include <antiphon/nn/linear/nf4_weight.h>

namespace antiphon::nn {

// The 16 numbers, and the 256 dynamic 8-bit ones of both signs (Dettmers et al. 2022, section 1.3), float32, ascending,
// on this device; copied there once.
at::Tensor normal_floats(at::Device device);
at::Tensor dynamic_numbers(at::Device device);

// Rows [row, row + rows) and columns [column, column + columns), which are whole blocks.
struct Nf4Piece {
  int64_t row, rows, column, columns;
};
// The numbers of a piece times the scales of its blocks [rows * columns / kBlock] float32, rounded once to float32,
// bfloat16 or float16.
at::Tensor nf4_unpacked(const Nf4Weight& weight, const at::Tensor& scales, at::ScalarType dtype, const Nf4Piece& piece);
// The same by operations that every device has.
at::Tensor nf4_unpacked_by_operations(const Nf4Weight& weight, const at::Tensor& scales, at::ScalarType dtype,
                                      const Nf4Piece& piece);

}  // namespace antiphon::nn
