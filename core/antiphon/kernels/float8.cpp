#include <antiphon/kernels/float8.h>

#include <ATen/ATen.h>

#include <antiphon/kernels/composed.h>
#include <antiphon/kernels/cuda_table.h>
#include <antiphon/kernels/ops.h>

namespace antiphon::kernels {
namespace {

double largest(at::ScalarType format) { return format == at::kFloat8_e5m2 ? 57344 : 448; }

bool aligned(const at::Tensor& x) { return reinterpret_cast<uintptr_t>(x.const_data_ptr()) % 16 == 0; }

}  // namespace

at::Tensor float8_scale(const at::Tensor& x, at::ScalarType format) {
  constexpr double kLeast = 1e-30;
  if (x.numel() == 0) return at::full({}, kLeast / largest(format), x.options().dtype(at::kFloat));
  const auto [least, most] = at::aminmax(x);
  return at::maximum(least.neg(), most).to(at::kFloat).clamp_min_(kLeast).div_(largest(format));
}

Float8 to_float8(const at::Tensor& x, const at::Tensor& scale, at::ScalarType format, Float8Wanted wanted) {
  if (path_of(x) != Path::cuda || !aligned(x)) return composed::to_float8(x, scale, format, wanted);
  const int64_t n = x.size(0), width = x.size(1);
  const auto options = x.options().dtype(format);
  Float8 y{{}, {}, scale};
  if (wanted.rows) y.rows = at::empty({n, width}, options);
  if (wanted.columns) y.columns = at::empty({width, padded_rows(n)}, options);
  cuda_table()->to_float8(x, scale, y.rows, y.columns);
  return y;
}

at::Tensor float8_product(const at::Tensor& a, const at::Tensor& a_scale, const at::Tensor& b,
                          const at::Tensor& b_scale, at::ScalarType dtype, bool fast) {
  if (!a.is_cpu()) return at::_scaled_mm(a, b.t(), a_scale, b_scale, {}, {}, dtype, fast);
  // As LibTorch does on most processors. On those with AMX it asks oneDNN, whose only way there is its reference code:
  // a thousand times slower (LibTorch 2.11).
  const auto x = a.to(at::kFloat).mul_(a_scale), y = b.to(at::kFloat).mul_(b_scale);
  return at::mm(x, y.t()).to(dtype);
}

std::string float8_missing(at::Device device) {
  try {
    const auto ones = at::ones({kFloat8Tile, kFloat8Tile}, at::TensorOptions(device).dtype(at::kBFloat16));
    const auto x = to_float8(ones, float8_scale(ones, at::kFloat8_e4m3fn), at::kFloat8_e4m3fn, {});
    float8_product(x.rows, x.scale, x.columns, x.scale, at::kBFloat16, true);
    return {};
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
}

}  // namespace antiphon::kernels
