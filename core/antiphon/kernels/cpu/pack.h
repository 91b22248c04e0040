// Blocks of a matrix for matmul.cpp, packed into panels of kColumns columns, row by row, as float32.
#pragma once
#include <antiphon/kernels/cpu/numbers.h>
#include <antiphon/kernels/matmul.h>

namespace antiphon::kernels::ANTIPHON_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVector = 16, kRows = 12;
#elif defined(__AVX2__)
constexpr int kVector = 8, kRows = 6;
#else
constexpr int kVector = 4, kRows = 4;
#endif
constexpr int kColumns = 2 * kVector;
// A block of b: 224 KiB, or 448 beside AVX-512, where L2 caches are larger. Deep ones, since each block but the first
// reads and writes c again.
constexpr int64_t kDepth = kVector < 16 ? 288 : 576, kWidth = 192;
constexpr int64_t kAhead = 64;  // numbers that are asked for before they are read

typedef float Eight __attribute__((vector_size(32), may_alias, aligned(4)));
typedef uint16_t EightHalves __attribute__((vector_size(16), may_alias, aligned(2)));
typedef uint32_t EightWords __attribute__((vector_size(32)));

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

inline Eight eight(const float* from) { return *reinterpret_cast<const Eight*>(from); }
inline Eight eight(const uint16_t* from) {
  const auto words = __builtin_convertvector(*reinterpret_cast<const EightHalves*>(from), EightWords);
  return reinterpret_cast<Eight>(words << 16);
}

// Rows become columns.
inline void transpose(Eight (&x)[8]) {
  Eight y[8];
  for (int i = 0; i < 8; i += 2) {
    y[i] = __builtin_shufflevector(x[i], x[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    y[i + 1] = __builtin_shufflevector(x[i], x[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      x[i + 2 * j] = __builtin_shufflevector(y[i + j], y[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      x[i + 2 * j + 1] = __builtin_shufflevector(y[i + j], y[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; ++i) {
    y[i] = __builtin_shufflevector(x[i], x[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    y[i + 4] = __builtin_shufflevector(x[i], x[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; ++i) x[i] = y[i];
}

// b is read where no cache has it, and in pieces that the processor does not expect by itself.
inline void expect_read(const void* from) { __builtin_prefetch(from); }

// Eight columns of b become eight rows, of numbers that are read as if they were of type As.
template <class As, class T>
inline void read_columns(const T* b, int64_t stride, Eight (&x)[8]) {
  for (int i = 0; i < 8; ++i) {
    const T* from = b + i * stride;
    x[i] = eight(reinterpret_cast<const As*>(from)), expect_read(from + kAhead * sizeof(As) / sizeof(T));
  }
  transpose(x);
}

// Columns of b that lie one after the other, b[k, j] at b[j * stride + k]: whole eights of k. How many those are.
template <class T>
inline int64_t pack_columns(const T* b, int64_t stride, int64_t depth, float* panel) {
  int64_t k = 0;
  for (; k + 8 <= depth; k += 8)
    for (int j = 0; j < kColumns; j += 8) {
      Eight x[8];
      read_columns<T>(b + j * stride + k, stride, x);
      for (int i = 0; i < 8; ++i) *reinterpret_cast<Eight*>(panel + (k + i) * kColumns + j) = x[i];
    }
  return k;
}

// The same of bfloat16, whole sixteens: two at once are moved, with half the shuffles.
inline int64_t pack_pairs(const uint16_t* b, int64_t stride, int64_t depth, float* panel) {
  int64_t k = 0;
  for (; k + 16 <= depth; k += 16)
    for (int j = 0; j < kColumns; j += 8) {
      Eight x[8];
      read_columns<float>(b + j * stride + k, stride, x);
      for (int i = 0; i < 8; ++i) {
        const auto pair = reinterpret_cast<EightWords>(x[i]);
        float* const row = panel + (k + 2 * i) * kColumns + j;
        *reinterpret_cast<Eight*>(row) = reinterpret_cast<Eight>(pair << 16);
        *reinterpret_cast<Eight*>(row + kColumns) = reinterpret_cast<Eight>(pair & 0xffff0000u);
      }
    }
  return k;
}

// Rows of b that lie one after the other: of all whole panels at once, so that as much as can be is read in one piece.
template <class T>
inline void pack_rows(const T* b, int64_t stride, int64_t depth, int64_t panels, float* to) {
  constexpr int64_t kRowsAhead = 6, kLine = 64 / sizeof(T);
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t panel = 0; panel < panels; ++panel) {
      const T* from = b + k * stride + panel * kColumns;
      for (int64_t j = 0; j < kColumns; j += kLine) expect_read(from + kRowsAhead * stride + j);
      for (int j = 0; j < kColumns; j += 8)
        *reinterpret_cast<Eight*>(to + (panel * depth + k) * kColumns + j) = eight(from + j);
    }
}

// Any strides; missing columns of the panel are zero.
template <class T>
inline void pack_any(const T* b, int64_t row, int64_t column, int64_t depth, int64_t width, float* panel) {
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t j = 0; j < kColumns; ++j) panel[k * kColumns + j] = j < width ? load(b[k * row + j * column]) : 0.0f;
}

// A whole panel of such columns.
template <class T>
inline void pack_panel(const MatrixProduct& p, const T* b, int64_t depth, float* panel) {
  int64_t k = 0;
  if constexpr (sizeof(T) == 2) k = pack_pairs(b, p.b_column, depth, panel);
  k += pack_columns(b + k, p.b_column, depth - k, panel + k * kColumns);
  pack_any(b + k, p.b_row, p.b_column, depth - k, kColumns, panel + k * kColumns);
}

template <class T>
void pack(const MatrixProduct& p, const T* b, int64_t depth, int64_t width, float* panels) {
  int64_t j = 0;
  if (p.b_row == 1) {
    for (; j + kColumns <= width; j += kColumns) pack_panel(p, b + j * p.b_column, depth, panels + j * depth);
  } else if (p.b_column == 1) {
    j = width / kColumns * kColumns;
    pack_rows(b, p.b_row, depth, j / kColumns, panels);
  }
  for (; j < width; j += kColumns)
    pack_any(b + j * p.b_column, p.b_row, p.b_column, depth, smaller(kColumns, width - j), panels + j * depth);
}

}  // namespace
}  // namespace antiphon::kernels::ANTIPHON_ISA
