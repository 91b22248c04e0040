#include <antiphon/nn/linear.h>

#include <ATen/ATen.h>

namespace antiphon::nn {

Linear::Linear(int64_t in, int64_t out, bool with_bias) {
  linear_ = this;
  add("weight", weight, {out, in}, Init::linear_uniform);
  if (with_bias) add("bias", bias, {out}, Init::zeros);
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  if (adapter) return adapter->forward(x, weight, bias);
  if (!bias.defined()) return at::linear(x, like(weight, x));
  return at::linear(x, like(weight, x), like(bias, x));
}

at::Tensor like(const at::Tensor& parameter, const at::Tensor& x) {
  if (!parameter.defined() || parameter.scalar_type() == x.scalar_type()) return parameter;
  return parameter.to(x.scalar_type());
}

}  // namespace antiphon::nn
