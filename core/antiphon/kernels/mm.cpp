#include <antiphon/kernels/mm.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/kernels/onednn.h>

#include <algorithm>
#include <atomic>

namespace antiphon::kernels {
namespace {

std::atomic<int64_t> smallest{1 << 20};

bool is_float(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

}  // namespace

bool is_fast_linear(const at::Tensor& x, const at::Tensor& w) {
  return is_float(x) && is_float(w) && x.dim() > 0 && w.dim() == 2 && x.size(-1) == w.size(1) &&
         w.is_non_overlapping_and_dense() && x.numel() * w.size(0) >= std::max<int64_t>(smallest, 1) &&
         onednn::available();
}

at::Tensor mm(const at::Tensor& a, const at::Tensor& b) {
  const bool wants_gradient = c10::GradMode::is_enabled() && (a.requires_grad() || b.requires_grad());
  if (a.dim() != 2 || b.dim() != 2 || wants_gradient) return at::mm(a, b);
  const auto w = b.t();
  return is_fast_linear(a, w) ? onednn::linear(a, w, {}) : at::mm(a, b);
}

int64_t set_smallest_fast_mm(int64_t multiplications) { return smallest.exchange(multiplications); }

}  // namespace antiphon::kernels
