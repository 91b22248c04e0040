// The products of matmul.h.
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
// A block of b: 224 KiB.
constexpr int64_t kDepth = 288, kWidth = 192;

typedef float Vector __attribute__((vector_size(4 * kVector), may_alias));
typedef float Anywhere __attribute__((vector_size(4 * kVector), may_alias, aligned(4)));
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

// Columns of b that lie one after the other: b[k, j] at b[j * stride + k].
template <class T>
inline void pack_columns(const T* b, int64_t stride, int64_t depth, float* panel) {
  for (int64_t k = 0; k < depth; k += 8)
    for (int j = 0; j < kColumns; j += 8) {
      Eight x[8];
      for (int i = 0; i < 8; ++i) x[i] = eight(b + (j + i) * stride + k);
      transpose(x);
      for (int i = 0; i < 8; ++i) *reinterpret_cast<Eight*>(panel + (k + i) * kColumns + j) = x[i];
    }
}

template <class T>
inline void pack_rows(const T* b, int64_t stride, int64_t depth, float* panel) {
  for (int64_t k = 0; k < depth; ++k)
    for (int j = 0; j < kColumns; j += 8)
      *reinterpret_cast<Eight*>(panel + k * kColumns + j) = eight(b + k * stride + j);
}

// Any strides; missing columns of the panel are zero.
template <class T>
inline void pack_any(const T* b, int64_t row, int64_t column, int64_t depth, int64_t width, float* panel) {
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t j = 0; j < kColumns; ++j) panel[k * kColumns + j] = j < width ? load(b[k * row + j * column]) : 0.0f;
}

template <class T>
void pack(const MatrixProduct& p, const T* b, int64_t depth, int64_t width, float* panel) {
  for (int64_t j = 0; j < width; j += kColumns, panel += depth * kColumns) {
    const T* from = b + j * p.b_column;
    const int64_t columns = smaller(kColumns, width - j), whole = p.b_row == 1 ? depth / 8 * 8 : depth;
    if (columns < kColumns || (p.b_row != 1 && p.b_column != 1)) {
      pack_any(from, p.b_row, p.b_column, depth, columns, panel);
    } else if (p.b_column == 1) {
      pack_rows(from, p.b_row, depth, panel);
    } else {
      pack_columns(from, p.b_column, whole, panel);
      pack_any(from + whole, p.b_row, p.b_column, depth - whole, columns, panel + whole * kColumns);
    }
  }
}

struct Rows {
  const float* at;
  int64_t row, column;
};

// kRows x kColumns of c: rows and columns beyond c are computed from existing data and not written.
inline __attribute__((always_inline)) void tile(const Rows a, const float* panel, int64_t depth, float* c,
                                                int64_t c_row, const float* base, int64_t base_row) {
  Vector sum[kRows][2] = {};
  const float* from = a.at;
#pragma GCC unroll 4
  for (int64_t k = 0; k < depth; ++k) {
    const Vector left = *reinterpret_cast<const Vector*>(panel),
                 right = *reinterpret_cast<const Vector*>(panel + kVector);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      sum[i][0] += from[i * a.row] * left;
      sum[i][1] += from[i * a.row] * right;
    }
    from += a.column, panel += kColumns;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      if (base) sum[i][half] += *reinterpret_cast<const Anywhere*>(base + i * base_row + half * kVector);
      *reinterpret_cast<Anywhere*>(c + i * c_row + half * kVector) = sum[i][half];
    }
}

void edge(const Rows a, const float* panel, int64_t depth, float* c, int64_t c_row, const float* base, int64_t base_row,
          int64_t rows, int64_t columns) {
  float all[kRows * kColumns];
  tile(a, panel, depth, all, kColumns, nullptr, 0);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      c[i * c_row + j] = (base ? base[i * base_row + j] : 0.0f) + all[i * kColumns + j];
}

// The last rows of a, fewer than a tile, as a whole tile.
inline Rows filled(const Rows a, int64_t rows, int64_t depth, float* scratch) {
  for (int64_t i = 0; i < kRows; ++i)
    for (int64_t k = 0; k < depth; ++k) scratch[i * depth + k] = i < rows ? a.at[i * a.row + k * a.column] : 0.0f;
  return {scratch, depth, 1};
}

void block(const MatrixProduct& p, int64_t k, int64_t j, int64_t depth, int64_t width, const float* panels,
           float* scratch) {
  const float* const base = k > 0 ? p.c : p.base;
  const int64_t base_row = k > 0 ? p.c_row : p.base_row;
  for (int64_t i = 0; i < p.m; i += kRows) {
    Rows a{p.a + i * p.a_row + k * p.a_column, p.a_row, p.a_column};
    const int64_t rows = smaller(kRows, p.m - i);
    if (rows < kRows) a = filled(a, rows, depth, scratch);
    for (int64_t first = 0; first < width; first += kColumns) {
      const float *panel = panels + first * depth, *from = base ? base + i * base_row + j + first : nullptr;
      float* c = p.c + i * p.c_row + j + first;
      if (rows < kRows || first + kColumns > width)
        edge(a, panel, depth, c, p.c_row, from, base_row, rows, smaller(kColumns, width - first));
      else if (a.column == 1)
        tile({a.at, a.row, 1}, panel, depth, c, p.c_row, from, base_row);
      else if (a.row == 1)
        tile({a.at, 1, a.column}, panel, depth, c, p.c_row, from, base_row);
      else
        tile(a, panel, depth, c, p.c_row, from, base_row);
    }
  }
}

template <class T>
void multiply(const MatrixProduct& p, float* scratch) {
  const int64_t blocks = (p.k + kDepth - 1) / kDepth, step = ((p.k + blocks - 1) / blocks + 7) / 8 * 8;
  for (int64_t k = 0; k < p.k; k += step) {
    const int64_t depth = smaller(step, p.k - k);
    for (int64_t j = 0; j < p.n; j += kWidth) {
      const int64_t width = smaller(kWidth, p.n - j);
      pack(p, static_cast<const T*>(p.b) + k * p.b_row + j * p.b_column, depth, width, scratch);
      block(p, k, j, depth, width, scratch, scratch + kDepth * kWidth);
    }
  }
}

void run(const MatrixProduct& product, float* scratch) {
  product.b_is_bfloat16 ? multiply<uint16_t>(product, scratch) : multiply<float>(product, scratch);
}

constexpr MatmulKernel kernel{kRows, kColumns, kDepth*(kWidth + kRows), run};

}  // namespace

const MatmulKernel& matmul_kernel() { return kernel; }

}  // namespace antiphon::kernels::ANTIPHON_ISA
