// Products of float32 matrices on the CPU, of which the second may be bfloat16: it is widened as it is packed, so that
// no copy of it in float32 is ever alive. Plain pointers only, as rows.h.
//
// One block of b at a time is packed into panels that stay in the L2 cache, and a few rows of a at a time, read in
// place, are multiplied by all panels of the block: the scheme of Goto and van de Geijn ("Anatomy of High-Performance
// Matrix Multiplication", 2008) without a packed a.
#pragma once
#include <cstdint>

namespace antiphon::kernels {

// c[i, j] = Σ_k a[i, k] · b[k, j] + base[i, j]. a and b have any strides; those with a stride of 1 are fast. Columns of
// c and base are contiguous.
struct MatrixProduct {
  int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  int64_t a_row = 0, a_column = 1;
  const void* b = nullptr;
  bool b_is_bfloat16 = false;
  int64_t b_row = 0, b_column = 1;
  float* c = nullptr;
  int64_t c_row = 0;
  const float* base = nullptr;  // nullptr, c itself, a bias (base_row 0), or another matrix
  int64_t base_row = 0;
};

struct MatmulKernel {
  int64_t rows, columns;  // that one tile of registers holds: shares are best multiples of them
  int64_t scratch;        // floats, aligned to 64 bytes, that run() needs
  void (*run)(const MatrixProduct& product, float* scratch);
};

const MatmulKernel& matmul_kernel();

}  // namespace antiphon::kernels
