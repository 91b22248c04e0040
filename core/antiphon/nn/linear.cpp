#include <antiphon/nn/linear.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/few_rows.h>
#include <antiphon/nn/quantized_weight.h>

namespace antiphon::nn {

Linear::Linear(int64_t in, int64_t out, bool with_bias) {
  linear_ = this;
  add("weight", weight, {out, in}, Init::linear_uniform);
  if (with_bias) add("bias", bias, {out}, Init::zeros);
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  if (fits_few_rows(x, *this)) return multiply_few_rows(x, *this);
  if (adapter) return adapter->forward(x, weight, bias);
  const auto matrix = quantized ? quantized->dequantized(x.scalar_type()) : like(weight, x);
  if (!bias.defined()) return at::linear(x, matrix);
  return at::linear(x, matrix, like(bias, x));
}

void Linear::quantize(const std::string& format) {
  if (adapter) fail(ErrorKind::internal, "a linear layer with an adapter was to be quantised; merge the adapter first");
  quantized = std::make_shared<QuantizedWeight>(QuantizedWeight::of(weight, format));
  weight = at::empty(weight.sizes(), weight.options().device(at::kMeta).requires_grad(false));
}

at::Tensor like(const at::Tensor& parameter, const at::Tensor& x) {
  if (!parameter.defined() || parameter.scalar_type() == x.scalar_type()) return parameter;
  return parameter.to(x.scalar_type());
}

}  // namespace antiphon::nn
