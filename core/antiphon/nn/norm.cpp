#include <antiphon/nn/norm.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/nn/linear.h>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One node instead of the six of a composition: it keeps x and 1/rms, and makes no gradient for a frozen weight.
struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double eps) {
    const auto x32 = x.to(at::kFloat);
    const auto rstd = x32.square().mean(-1, true).add_(eps).rsqrt_();
    auto y = (x32 * rstd).to(x.scalar_type());
    y = y.mul_(like(weight, y));
    context->save_for_backward({x, weight, rstd});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &rstd = saved[2];
    const auto normalized = x.to(at::kFloat) * rstd;  // not in place: in float32 that would be x itself
    const auto grad = grads[0].to(at::kFloat);
    at::Tensor grad_x, grad_weight;
    if (context->needs_input_grad(0)) {
      auto scaled = grad * weight.to(at::kFloat);
      const auto mean = (scaled * normalized).mean(-1, true);
      grad_x = scaled.addcmul_(normalized, mean, -1).mul_(rstd).to(x.scalar_type());
    }
    if (context->needs_input_grad(1))
      grad_weight = (grad * normalized).reshape({-1, weight.size(0)}).sum(0).to(weight.scalar_type());
    return {grad_x, grad_weight, at::Tensor()};
  }
};

}  // namespace

RmsNorm::RmsNorm(int64_t size, double eps) : eps_(eps) { add("weight", weight_, {size}, Init::ones); }

at::Tensor RmsNorm::forward(const at::Tensor& x) const { return RmsNormFunction::apply(x, weight_, eps_); }

LayerNorm::LayerNorm(int64_t size, double eps) : eps_(eps) {
  add("weight", weight_, {size}, Init::ones);
  add("bias", bias_, {size}, Init::zeros);
}

at::Tensor LayerNorm::forward(const at::Tensor& x) const {
  return at::layer_norm(x, {x.size(-1)}, like(weight_, x), like(bias_, x), eps_);
}

}  // namespace antiphon::nn
