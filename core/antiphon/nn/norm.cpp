#include <antiphon/nn/norm.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/kernels/for_rows.h>
#include <antiphon/nn/linear.h>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Normalized {
  at::Tensor y, rstd;
};

Normalized rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (kernels::fits(x)) {
    const int64_t width = x.size(-1), rows = x.numel() / std::max<int64_t>(1, width);
    Normalized out{at::empty_like(x), at::empty({rows, 1}, x.options().dtype(at::kFloat))};
    kernels::for_rows(x, rows, width, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
      using T = decltype(type);
      kernel.rms_norm(kernels::data<T>(x), kernels::data<T>(weight), kernels::data<T>(out.y),
                      kernels::data<float>(out.rstd), begin, end, width, static_cast<float>(eps));
    });
    return out;
  }
  const auto x32 = x.to(at::kFloat);
  const auto rstd = x32.square().mean(-1, true).add_(eps).rsqrt_();
  return {(x32 * rstd).to(x.scalar_type()).mul_(weight), rstd};
}

at::Tensor rms_norm_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& rstd) {
  if (kernels::fits(x)) {
    const int64_t width = x.size(-1);
    auto grad_x = at::empty_like(x);
    kernels::for_rows(x, rstd.numel(), width, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
      using T = decltype(type);
      kernel.rms_norm_backward(kernels::data<T>(grad), kernels::data<T>(x), kernels::data<T>(weight),
                               kernels::data<float>(rstd), kernels::data<T>(grad_x), begin, end, width);
    });
    return grad_x;
  }
  const auto normalized = x.to(at::kFloat) * rstd;  // not in place: in float32 that would be x itself
  auto scaled = grad.to(at::kFloat) * weight.to(at::kFloat);
  const auto mean = (scaled * normalized).mean(-1, true);
  return scaled.addcmul_(normalized, mean, -1).mul_(rstd).to(x.scalar_type());
}

// One node instead of the six of a composition: it keeps x and 1/rms, and makes no gradient for a frozen weight.
struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight, double eps) {
    const auto x = input.contiguous();
    const auto out = rms_norm(x, like(weight, x).contiguous(), eps);
    context->save_for_backward({x, weight, out.rstd});
    return out.y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto rstd = saved[2].view(x.sizes().slice(0, static_cast<size_t>(x.dim() - 1)).vec()).unsqueeze(-1);
    const auto grad = grads[0].contiguous();
    at::Tensor grad_x, grad_weight;
    if (context->needs_input_grad(0)) grad_x = rms_norm_backward(grad, x, like(weight, x).contiguous(), rstd);
    if (context->needs_input_grad(1))
      grad_weight =
          (grad.to(at::kFloat) * x.to(at::kFloat) * rstd).reshape({-1, weight.size(0)}).sum(0).to(weight.scalar_type());
    return {grad_x, grad_weight, at::Tensor()};
  }
};

}  // namespace

Norm::Norm(NormKind kind, int64_t size, double eps) : kind_(kind), eps_(eps) {
  add("weight", weight_, {size}, kind == NormKind::layer_plus_one ? Init::zeros : Init::ones);
  if (kind != NormKind::rms) add("bias", bias_, {size}, Init::zeros);
}

at::Tensor Norm::forward(const at::Tensor& x) const {
  if (kind_ == NormKind::rms) return RmsNormFunction::apply(x, weight_, eps_);
  const auto weight = kind_ == NormKind::layer ? weight_ : weight_ + 1;
  return at::layer_norm(x, {x.size(-1)}, like(weight, x), like(bias_, x), eps_);
}

}  // namespace antiphon::nn
