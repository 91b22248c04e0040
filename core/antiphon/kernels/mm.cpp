#include <antiphon/kernels/mm.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/kernels/onednn.h>

#include <algorithm>
#include <atomic>

namespace antiphon::kernels {
namespace {

std::atomic<int64_t> smallest{1 << 20};
constexpr int64_t kTile = 1 << 20;  // elements widened at once: 4 MiB, which stay in the cache

bool is_float(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

// Calls body(first row, rows of w in float32) for tiles of w [out, in].
template <class Body>
void for_tiles(const at::Tensor& w, const Body& body) {
  const int64_t out = w.size(0),
                rows = std::clamp<int64_t>(kTile / std::max<int64_t>(1, w.size(1)), 1, std::max<int64_t>(1, out));
  const auto scratch = at::empty({rows, w.size(1)}, w.options().dtype(at::kFloat));
  for (int64_t begin = 0; begin < out; begin += rows) {
    const auto tile = scratch.narrow(0, 0, std::min(rows, out - begin));
    body(begin, tile.copy_(w.narrow(0, begin, tile.size(0))));
  }
}

// a [n, in] times the transposed of w [out, in] -> [n, out].
at::Tensor times_transposed(const at::Tensor& a, const at::Tensor& w) {
  at::Tensor y;
  for_tiles(w, [&](int64_t begin, const at::Tensor& tile) {
    const auto part = kernels::mm(a, tile.t());
    if (tile.size(0) == w.size(0)) {
      y = part;
      return;
    }
    if (!y.defined()) y = at::empty({a.size(0), w.size(0)}, a.options());
    y.narrow(1, begin, tile.size(0)).copy_(part);
  });
  return y.defined() ? y : at::zeros({a.size(0), w.size(0)}, a.options());
}

// a [n, out] times w [out, in] -> [n, in].
at::Tensor times(const at::Tensor& a, const at::Tensor& w) {
  at::Tensor y;
  for_tiles(w, [&](int64_t begin, const at::Tensor& tile) {
    const auto part = kernels::mm(a.narrow(1, begin, tile.size(0)), tile);
    y = y.defined() ? y.add_(part) : part;
  });
  return y.defined() ? y : at::zeros({a.size(0), w.size(1)}, a.options());
}

at::Tensor widened_mm(const at::Tensor& a, const at::Tensor& b) {
  if (b.is_contiguous()) return times(a, b);
  if (b.t().is_contiguous()) return times_transposed(a, b.t());
  return kernels::mm(a, b.to(at::kFloat));
}

}  // namespace

bool is_fast_linear(const at::Tensor& x, const at::Tensor& w) {
  return is_float(x) && is_float(w) && x.dim() > 0 && w.dim() == 2 && x.size(-1) == w.size(1) &&
         w.is_non_overlapping_and_dense() && x.numel() * w.size(0) >= std::max<int64_t>(smallest, 1) &&
         onednn::available();
}

bool is_widened(const at::Tensor& x, const at::Tensor& w) {
  return is_float(x) && w.is_cpu() && w.scalar_type() == at::kBFloat16 && w.dim() == 2 && !w.requires_grad();
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  if (!is_widened(x, w)) return onednn::linear(x, w, bias);
  auto shape = x.sizes().vec();
  shape.back() = w.size(0);
  const auto y = kernels::mm(x.reshape({-1, x.size(-1)}), w.t()).view(shape);
  return bias.defined() ? y.add_(bias) : y;
}

at::Tensor mm(const at::Tensor& a, const at::Tensor& b) {
  const bool wants_gradient = c10::GradMode::is_enabled() && (a.requires_grad() || b.requires_grad());
  if (a.dim() != 2 || b.dim() != 2 || wants_gradient) return at::mm(a, b);
  if (is_widened(a, b)) return widened_mm(a, b);
  const auto w = b.t();
  return is_fast_linear(a, w) ? onednn::linear(a, w, {}) : at::mm(a, b);
}

int64_t set_smallest_fast_mm(int64_t multiplications) { return smallest.exchange(multiplications); }

}  // namespace antiphon::kernels
