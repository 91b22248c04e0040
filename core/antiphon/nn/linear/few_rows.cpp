#include <antiphon/nn/linear/few_rows.h>

#include <ATen/ATen.h>

#include <antiphon/kernels/for_rows.h>
#include <antiphon/kernels/mm.h>
#include <antiphon/nn/linear/quantized_weight.h>

namespace antiphon::nn {
namespace {

bool few(const at::Tensor& x) {
  return !at::GradMode::is_enabled() && kernels::fits(x) && x.numel() > 0 && x.numel() <= kFewRows * x.size(-1);
}

bool alike(const at::Tensor& parameter, const at::Tensor& x) {
  return parameter.scalar_type() == x.scalar_type() && parameter.device() == x.device() && parameter.is_contiguous();
}

template <class T>
void multiply(const at::Tensor& x, const kernels::Matrix& matrix, const at::Tensor& bias, const at::Tensor& y) {
  const int64_t n = x.numel() / matrix.in;
  const auto wide = x.to(at::kFloat).contiguous();
  const kernels::Product<T> product{
      matrix,  wide.const_data_ptr<float>(), n,         bias.defined() ? kernels::data<T>(bias) : nullptr,
      nullptr, kernels::data<T>(y),          matrix.out};
  const int64_t panels = (matrix.out + kernels::kPanel - 1) / kernels::kPanel;
  kernels::share_rows(panels, kernels::kPanel * matrix.in, [&](int64_t begin, int64_t end) {
    kernels::decode_kernels<T>().multiply(product, begin * kernels::kPanel,
                                          std::min(end * kernels::kPanel, matrix.out));
  });
}

}  // namespace

bool fits_few_rows(const at::Tensor& x, const at::Tensor& weight) {
  return few(x) && (alike(weight, x) || (kernels::is_widened(x, weight) && weight.is_contiguous()));
}

bool base_fits_few_rows(const at::Tensor& x, const Linear& linear) {
  if (!few(x) || linear.nf4 || (linear.bias.defined() && !alike(linear.bias, x))) return false;
  return linear.quantized || fits_few_rows(x, linear.weight);
}

bool fits_few_rows(const at::Tensor& x, const Linear& linear) {
  if (!base_fits_few_rows(x, linear)) return false;
  const auto change = linear.low_rank();
  if (!change) return false;
  if (change->a.defined())
    for (const auto& matrix : {change->a, change->b})
      if (!kernels::fits(matrix) || !matrix.is_contiguous()) return false;
  return true;
}

kernels::Matrix matrix_of(const at::Tensor& weight) {
  const bool wide = weight.scalar_type() == at::kFloat;
  return {wide ? kernels::WeightFormat::float32 : kernels::WeightFormat::bfloat16, weight.const_data_ptr(), nullptr,
          weight.size(0), weight.size(1)};
}

kernels::Matrix matrix_of(const Linear& linear) {
  return linear.quantized ? linear.quantized->matrix() : matrix_of(linear.weight);
}

at::Tensor multiply_few_rows(const at::Tensor& x, const kernels::Matrix& matrix, const at::Tensor& bias) {
  auto sizes = x.sizes().vec();
  sizes.back() = matrix.out;
  const auto y = at::empty(sizes, x.options());
  if (x.scalar_type() == at::kFloat)
    multiply<float>(x, matrix, bias, y);
  else
    multiply<uint16_t>(x, matrix, bias, y);
  return y;
}

at::Tensor multiply_few_rows(const at::Tensor& x, const Linear& linear) {
  const auto y = multiply_few_rows(x, matrix_of(linear), linear.added_bias());
  const auto change = linear.low_rank().value();
  if (!change.a.defined()) return y;
  const auto inner = multiply_few_rows(x, matrix_of(change.a), {}).mul_(change.scale);
  return y.add_(multiply_few_rows(inner, matrix_of(change.b), {}));
}

}  // namespace antiphon::nn
