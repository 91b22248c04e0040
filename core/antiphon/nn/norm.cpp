#include <antiphon/nn/norm.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/kernels/ops.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One autograd node instead of six: it keeps x and 1/rms, and computes no gradient for a frozen weight.
struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight, double eps) {
    const auto x = input.contiguous();
    const auto out = kernels::rms_norm(x, like(weight, x).contiguous(), eps);
    context->save_for_backward({x, weight, out.rstd});
    return out.y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &rstd = saved[2];
    const auto grad = grads[0].contiguous();
    at::Tensor grad_x, grad_weight;
    if (context->needs_input_grad(0)) grad_x = kernels::rms_norm_backward(grad, x, like(weight, x).contiguous(), rstd);
    if (context->needs_input_grad(1))
      grad_weight = kernels::rms_norm_weight_backward(grad, x, rstd, weight.scalar_type());
    return {grad_x, grad_weight, at::Tensor()};
  }
};

at::Tensor rms_normed(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (at::GradMode::is_enabled()) return RmsNormFunction::apply(x, weight, eps);
  const auto rows = x.contiguous();
  return kernels::rms_norm(rows, like(weight, rows).contiguous(), eps).y;
}

// In float32 until the end: weight + 1 in a narrow dtype would lose the weight's digits.
at::Tensor rms_normed_plus_one(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const bool narrow = x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf;
  const auto wide = narrow ? x.to(at::kFloat) : x;
  return rms_normed(wide, like(weight, wide) + 1, eps).to(x.scalar_type());
}

bool adds_bias(NormKind kind) { return kind == NormKind::layer || kind == NormKind::layer_plus_one; }
bool is_around_zero(NormKind kind) { return kind == NormKind::rms_plus_one || kind == NormKind::layer_plus_one; }

}  // namespace

Norm::Norm(NormKind kind, int64_t size, double eps) : kind_(kind), eps_(eps) {
  add("weight", weight_, {size}, is_around_zero(kind) ? Init::zeros : Init::ones, Role::vector);
  if (adds_bias(kind)) add("bias", bias_, {size}, Init::zeros, Role::vector);
}

at::Tensor Norm::forward(const at::Tensor& x) const {
  if (kind_ == NormKind::rms) return rms_normed(x, weight_, eps_);
  if (kind_ == NormKind::rms_plus_one) return rms_normed_plus_one(x, weight_, eps_);
  const auto weight = kind_ == NormKind::layer ? weight_ : weight_ + 1;
  return at::layer_norm(x, {x.size(-1)}, like(weight, x), like(bias_, x), eps_);
}

}  // namespace antiphon::nn
