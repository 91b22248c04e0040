// Kernels of decoding on the CPU: a small batch times a matrix, which is bound by reading the matrix, and attention of
// one query. Plain pointers only, as rows.h; `T` is float or uint16_t (the bits of a bfloat16).
#pragma once
#include <cstdint>

namespace antiphon::kernels {

enum class WeightFormat { float32, bfloat16, int8, int4 };

constexpr int64_t kPanel = 16;  // interleaved rows of a quantised matrix; `out` is a multiple of it
constexpr int64_t kGroup = 32;  // columns that share a scale; `in` is a multiple of it

// A matrix [out, in]. float32, bfloat16: row by row. Quantised: panels of kPanel rows, each column by column, so that a
// load gives the same column of all rows of a panel:
//   int8  values int8 [out / kPanel, in, kPanel]
//   int4  values uint8 [out / kPanel, in / 2, kPanel]: column 2j in the low half of a byte, 2j + 1 in the high one, + 8
//   scales bfloat16 [out / kPanel, in / kGroup, kPanel]; weight = scale · value
struct Matrix {
  WeightFormat format = WeightFormat::float32;
  const void* values = nullptr;
  const uint16_t* scales = nullptr;
  int64_t out = 0, in = 0;
};

// y[i, row] = Σ_k W[row, k] · x[i, k] + bias[row], rounded to T, then + residual[i, row]; x [n, in], y and residual
// [n, stride]. bias and residual may be nullptr.
template <class T>
struct Product {
  Matrix matrix;
  const float* x = nullptr;
  int64_t n = 0;
  const T* bias = nullptr;
  const T* residual = nullptr;
  T* y = nullptr;
  int64_t stride = 0;
};

// The keys and values that a query sees: `length` positions from position `first` of the first block on.
template <class T>
struct SeenBlocks {
  const T* const* keys = nullptr;  // of each block, [block_size, head_size]
  const T* const* values = nullptr;
  int64_t block_size = 0, first = 0, length = 0;
};

template <class T>
struct DecodeKernels {
  // Rows [begin, end) of the matrix; for a quantised one multiples of kPanel.
  void (*multiply)(const Product<T>& product, int64_t begin, int64_t end);
  // y [size] = x in float32.
  void (*expand)(const T* x, float* y, int64_t size);
  // y [size] = factor · y, rounded to T, + x.
  void (*add)(T* y, float factor, const T* x, int64_t size);
  // y [head_size] = Σ softmax(s) · values over what is seen, with s = scale · q·keys, or cap · tanh(s / cap) if cap is
  // above 0; scratch holds length + 2 · head_size floats.
  void (*attend)(const T* q, const SeenBlocks<T>& seen, int64_t head_size, float scale, float cap, float* scratch,
                 T* y);
  // y [in, out], the transpose: columns [begin, end), rows of a quantised matrix; multiples of kPanel.
  void (*unpack)(const Matrix& matrix, T* y, int64_t begin, int64_t end);
  // Rows [begin, end), multiples of kPanel, of a weight [out, in], quantised into values and scales. int8: the scale
  // spans the group's largest value. int4: of sixteen scales, which map it to 7, -8 or up to a seventh less, the one
  // with the least squared error, weighted by the number's size; chosen by the losses of two models
  // (docs/performance.md).
  void (*pack)(const T* weight, int64_t in, WeightFormat format, uint8_t* values, uint16_t* scales, int64_t begin,
               int64_t end);
};

template <class T>
const DecodeKernels<T>& decode_kernels();

}  // namespace antiphon::kernels
