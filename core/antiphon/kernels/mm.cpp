#include <antiphon/kernels/mm.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <antiphon/base/trace.h>
#include <antiphon/kernels/for_rows.h>
#include <antiphon/kernels/isa.h>
#include <antiphon/kernels/matmul.h>

#include <algorithm>
#include <atomic>
#include <memory>

namespace antiphon::kernels {
namespace {

std::atomic<int64_t> smallest{1 << 18};

bool is_float(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

bool is_large(int64_t multiplications) {
  return isa() >= Isa::avx2 && multiplications >= std::max<int64_t>(smallest, 1);
}

struct Grid {
  int64_t rows, columns;  // shares of c's
};

int64_t share(int64_t size, int64_t shares, int64_t multiple) {
  return ((size + shares - 1) / shares + multiple - 1) / multiple * multiple;
}

// Threads form the grid whose largest share finishes first; each packs its own columns of b, at the price of about as
// many multiplications as kPacking rows.
Grid grid_of(const MatrixProduct& p) {
  constexpr int64_t kWorthAThread = 1 << 19, kPacking = 8;
  const auto& kernel = matmul_kernel();
  const int64_t wanted = p.m * p.n * p.k / kWorthAThread,
                threads = at::in_parallel_region() ? 1 : std::clamp<int64_t>(wanted, 1, at::get_num_threads());
  Grid best{1, threads};
  int64_t least = INT64_MAX;
  for (int64_t rows = 1; rows <= threads; ++rows) {
    if (threads % rows) continue;
    const int64_t cost = (share(p.m, rows, kernel.rows) + kPacking) * share(p.n, threads / rows, kernel.columns);
    if (cost < least) least = cost, best = {rows, threads / rows};
  }
  return best;
}

void run_share(MatrixProduct p, int64_t i, int64_t rows, int64_t j, int64_t columns) {
  p.m = std::min(rows, p.m - i), p.n = std::min(columns, p.n - j);
  if (p.m <= 0 || p.n <= 0) return;
  const auto width = static_cast<int64_t>(p.b_is_bfloat16 ? sizeof(uint16_t) : sizeof(float));
  p.a += i * p.a_row;
  p.b = static_cast<const char*>(p.b) + j * p.b_column * width;
  p.c += i * p.c_row + j;
  if (p.base) p.base += i * p.base_row + j;
  matmul_kernel().run(p, scratch_of_thread());
}

void run(const MatrixProduct& p) {
  constexpr int64_t kAlone = 1 << 20;  // for share_rows: one share is enough work for a thread
  const auto grid = grid_of(p);
  const int64_t rows = share(p.m, grid.rows, matmul_kernel().rows),
                columns = share(p.n, grid.columns, matmul_kernel().columns);
  share_rows(grid.rows * grid.columns, kAlone, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      run_share(p, i / grid.columns * rows, rows, i % grid.columns * columns, columns);
  });
}

// a [m, k] float32, b [k, n] float32 or bfloat16, base float32 [m, n] or [n] or undefined -> c [m, n]
void multiply(const at::Tensor& a, const at::Tensor& b, const at::Tensor& base, const at::Tensor& c) {
  if (a.size(1) == 0) {
    base.defined() ? c.copy_(base) : c.zero_();
    return;
  }
  trace::add_flops(2.0 * static_cast<double>(a.numel()) * static_cast<double>(b.size(1)));
  MatrixProduct p;
  p.m = a.size(0), p.k = a.size(1), p.n = b.size(1);
  p.a = a.const_data_ptr<float>(), p.a_row = a.stride(0), p.a_column = a.stride(1);
  p.b = b.const_data_ptr(), p.b_is_bfloat16 = b.scalar_type() == at::kBFloat16;
  p.b_row = b.stride(0), p.b_column = b.stride(1);
  p.c = c.mutable_data_ptr<float>(), p.c_row = c.stride(0);
  if (base.defined()) p.base = base.const_data_ptr<float>(), p.base_row = base.dim() == 2 ? base.stride(0) : 0;
  run(p);
}

bool fits(const at::Tensor& a, const at::Tensor& b) {
  if (a.dim() != 2 || b.dim() != 2 || !is_float(a) || a.size(1) != b.size(0) || a.size(1) == 0) return false;
  return is_widened(a, b) || (is_float(b) && is_large(a.numel() * b.size(1)));
}

bool wants_gradient(const at::Tensor& a, const at::Tensor& b) {
  return c10::GradMode::is_enabled() && (a.requires_grad() || b.requires_grad());
}

}  // namespace

bool is_fast_linear(const at::Tensor& x, const at::Tensor& w) {
  return is_float(x) && is_float(w) && x.dim() > 0 && w.dim() == 2 && x.size(-1) == w.size(1) &&
         is_large(x.numel() * w.size(0));
}

bool is_widened(const at::Tensor& x, const at::Tensor& w) {
  return is_float(x) && w.is_cpu() && w.scalar_type() == at::kBFloat16 && w.dim() == 2 && !w.requires_grad();
}

float* scratch_of_thread() {
  constexpr size_t kLine = 64;
  static thread_local const std::unique_ptr<float[]> all(
      new float[static_cast<size_t>(matmul_kernel().scratch) + kLine / sizeof(float)]);
  return reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(all.get()) + kLine - 1) / kLine * kLine);
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  auto shape = x.sizes().vec();
  shape.back() = w.size(0);
  const auto y = at::empty(shape, x.options());
  const auto some_bias = bias.defined() ? bias.contiguous() : bias;
  multiply(x.reshape({y.numel() / w.size(0), x.size(-1)}), w.t(), some_bias, y.view({-1, w.size(0)}));
  return y;
}

at::Tensor mm(const at::Tensor& a, const at::Tensor& b) {
  if (wants_gradient(a, b) || !fits(a, b)) return at::mm(a, b);
  const auto c = at::empty({a.size(0), b.size(1)}, a.options());
  multiply(a, b, {}, c);
  return c;
}

void add_mm(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b) {
  if (fits(a, b) && is_float(c) && c.stride(1) == 1)
    multiply(a, b, c, c);
  else
    c.addmm_(a, b);
}

int64_t set_smallest_fast_mm(int64_t multiplications) { return smallest.exchange(multiplications); }

}  // namespace antiphon::kernels
