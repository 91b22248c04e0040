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

}  // namespace

Norm::Norm(NormKind kind, int64_t size, double eps) : kind_(kind), eps_(eps) {
  add("weight", weight_, {size}, kind == NormKind::layer_plus_one ? Init::zeros : Init::ones, Role::vector);
  if (kind != NormKind::rms) add("bias", bias_, {size}, Init::zeros, Role::vector);
}

at::Tensor Norm::forward(const at::Tensor& x) const {
  if (kind_ == NormKind::rms) {
    if (at::GradMode::is_enabled()) return RmsNormFunction::apply(x, weight_, eps_);
    const auto rows = x.contiguous();
    return kernels::rms_norm(rows, like(weight_, rows).contiguous(), eps_).y;
  }
  const auto weight = kind_ == NormKind::layer ? weight_ : weight_ + 1;
  return at::layer_norm(x, {x.size(-1)}, like(weight, x), like(bias_, x), eps_);
}

}  // namespace antiphon::nn
