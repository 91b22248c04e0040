// FP8 tensors with one scale each (Micikevicius et al. 2022, "FP8 Formats for Deep Learning"), and their products. The
// scale comes from the tensor itself, each time ("current scaling"), and never leaves the device.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::kernels {

// x = scale · value. e4m3 (at::kFloat8_e4m3fn) reaches 448, e5m2 (at::kFloat8_e5m2) 57344.
struct Float8 {
  at::Tensor rows;     // [n, width]
  at::Tensor columns;  // [width, n'], the transpose; n' is n up to a multiple of kFloat8Tile, with zeros
  at::Tensor scale;    // [] float32: max |x| / the largest value; what is not a number makes it one
};

constexpr int64_t kFloat8Tile = 16;  // sides of matrices in products are multiples of it, but for the rows of the first

// Columns of a transposed one.
constexpr int64_t padded_rows(int64_t n) { return (n + kFloat8Tile - 1) / kFloat8Tile * kFloat8Tile; }

// Which of the two arrangements are wanted; the other stays undefined.
struct Float8Wanted {
  bool rows = true, columns = true;
};

// Of a tensor with this scale and others with theirs, the largest is the scale of all together. Without values: the
// least that there is.
at::Tensor float8_scale(const at::Tensor& x, at::ScalarType format);

// x [n, width], contiguous, float32 or bfloat16; width a multiple of kFloat8Tile. On a GPU n > 0.
Float8 to_float8(const at::Tensor& x, const at::Tensor& scale, at::ScalarType format, Float8Wanted wanted);

// a [n, k] · b [m, k]ᵀ -> [n, m] in `dtype`, sums in float32. `fast`: a GPU may add with fewer bits, as forward passes
// do. On a CPU a product of the dequantised tensors.
at::Tensor float8_product(const at::Tensor& a, const at::Tensor& a_scale, const at::Tensor& b,
                          const at::Tensor& b_scale, at::ScalarType dtype, bool fast);

// Why the device cannot multiply FP8, or "".
std::string float8_missing(at::Device device);

}  // namespace antiphon::kernels
