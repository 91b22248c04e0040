// The products of matmul.h.
#include <antiphon/kernels/cpu/pack.h>

namespace antiphon::kernels::ANTIPHON_ISA {
namespace {

constexpr int kFewRows = kRows / 3;  // of a smaller tile, for what is left and for the ranks of adapters

typedef float Vector __attribute__((vector_size(4 * kVector), may_alias));
typedef float Anywhere __attribute__((vector_size(4 * kVector), may_alias, aligned(4)));

struct Rows {
  const float* at;
  int64_t row, column;
};

// Rows of a tile by few pointers, which the compiler must not derive from each other: one address for each row would
// not stay in registers, and there are hardly more reads than products.
template <int kCount>
struct Pointers {
  static constexpr int kTogether = kCount % 3 == 0 ? 3 : 2, kAll = (kCount + kTogether - 1) / kTogether;
  const float* at[kAll];
  int64_t row;

  explicit Pointers(const Rows& a) : row(a.row) {
#pragma GCC unroll 16
    for (int i = 0; i < kAll; ++i) {
      at[i] = a.at + kTogether * i * a.row;
      asm("" : "+r"(at[i]));
    }
  }
  float operator[](int i) const { return at[i / kTogether][i % kTogether * row]; }
  void advance(int64_t column) {
#pragma GCC unroll 16
    for (auto& pointer : at) pointer += column;
  }
};

// Where a tile goes.
struct Target {
  float* c;
  int64_t row;
  const float* base;  // or nullptr
  int64_t base_row;
};

// c is read and written only after the products, which take longer than memory if there are enough of them.
template <int kCount, int kVectors>
inline void expect(const Target& to, int64_t depth) {
  constexpr int64_t kEnough = 128;
  if (depth < kEnough) return;
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) __builtin_prefetch(to.c + i * to.row + v * kVector, 1);
}

// kCount x (kVectors * kVector) of c.
template <int kCount, int kVectors>
inline __attribute__((always_inline)) void tile(const Rows a, const float* panel, int64_t depth, const Target& to) {
  expect<kCount, kVectors>(to, depth);
  Vector sum[kCount][kVectors] = {};
  Pointers<kCount> from(a);
#pragma GCC unroll 4
  for (int64_t k = 0; k < depth; ++k) {
    Vector b[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) b[v] = *reinterpret_cast<const Vector*>(panel + v * kVector);
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
      const float x = from[i];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[i][v] += x * b[v];
    }
    from.advance(a.column), panel += kColumns;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      if (to.base) sum[i][v] += *reinterpret_cast<const Anywhere*>(to.base + i * to.base_row + v * kVector);
      *reinterpret_cast<Anywhere*>(to.c + i * to.row + v * kVector) = sum[i][v];
    }
}

template <int kCount, int kVectors>
__attribute__((noinline)) void tile_of(const Rows a, const float* panel, int64_t depth, const Target& to) {
  if (a.column == 1)
    tile<kCount, kVectors>({a.at, a.row, 1}, panel, depth, to);
  else if (a.row == 1)
    tile<kCount, kVectors>({a.at, 1, a.column}, panel, depth, to);
  else
    tile<kCount, kVectors>(a, panel, depth, to);
}

// How much of a whole tile is computed.
struct Size {
  int64_t rows, columns;
  bool few() const { return rows <= kFewRows; }
  bool narrow() const { return columns <= kVector; }
  int64_t computed_rows() const { return few() ? kFewRows : kRows; }
  bool is_whole() const { return rows == computed_rows() && columns == (narrow() ? kVector : kColumns); }
};

inline void compute(const Size& size, const Rows a, const float* panel, int64_t depth, const Target& to) {
  if (size.few())
    size.narrow() ? tile_of<kFewRows, 1>(a, panel, depth, to) : tile_of<kFewRows, 2>(a, panel, depth, to);
  else
    size.narrow() ? tile_of<kRows, 1>(a, panel, depth, to) : tile_of<kRows, 2>(a, panel, depth, to);
}

// Rows and columns beyond c are computed and not written.
void edge(const Size& size, const Rows a, const float* panel, int64_t depth, const Target& to) {
  float all[kRows * kColumns];
  compute(size, a, panel, depth, {all, kColumns, nullptr, 0});
  for (int64_t i = 0; i < size.rows; ++i)
    for (int64_t j = 0; j < size.columns; ++j)
      to.c[i * to.row + j] = (to.base ? to.base[i * to.base_row + j] : 0.0f) + all[i * kColumns + j];
}

// The last rows of a, fewer than a tile, as those of one.
inline Rows filled(const Rows a, const Size& size, int64_t depth, float* scratch) {
  for (int64_t i = 0; i < size.computed_rows(); ++i)
    for (int64_t k = 0; k < depth; ++k) scratch[i * depth + k] = i < size.rows ? a.at[i * a.row + k * a.column] : 0.0f;
  return {scratch, depth, 1};
}

__attribute__((noinline)) void rest(const Size& size, const Rows a, const float* panel, int64_t depth,
                                    const Target& to) {
  size.is_whole() ? compute(size, a, panel, depth, to) : edge(size, a, panel, depth, to);
}

void block(const MatrixProduct& p, int64_t k, int64_t j, int64_t depth, int64_t width, const float* panels,
           float* scratch) {
  const float* const base = k > 0 ? p.c : p.base;
  const int64_t base_row = k > 0 ? p.c_row : p.base_row;
  for (int64_t i = 0; i < p.m; i += kRows) {
    Size size{smaller(kRows, p.m - i), kColumns};
    Rows a{p.a + i * p.a_row + k * p.a_column, p.a_row, p.a_column};
    if (size.rows < size.computed_rows()) a = filled(a, size, depth, scratch);
    for (int64_t first = 0; first < width; first += kColumns) {
      const int64_t column = j + first;
      const Target to{p.c + i * p.c_row + column, p.c_row, base ? base + i * base_row + column : nullptr, base_row};
      if (size.rows == kRows && first + kColumns <= width)
        tile_of<kRows, 2>(a, panels + first * depth, depth, to);
      else
        rest({size.rows, smaller(kColumns, width - first)}, a, panels + first * depth, depth, to);
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
