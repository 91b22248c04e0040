#include <antiphon/nn/linear/float8_linear.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/nn/linear/linear.h>

namespace antiphon::nn {
namespace {

using kernels::float8_product, kernels::to_float8;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Float8Linear : torch::autograd::Function<Float8Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, Float8Weight* kept) {
    const auto w = kept->of(weight);
    const auto of_x = to_float8(rows(x).contiguous(), at::kFloat8_e4m3fn, {.columns = weight.requires_grad()});
    auto y = float8_product(of_x.rows, of_x.scale, w.rows, w.scale, x.scalar_type(), true);
    if (bias) y.add_(*bias);
    context->save_for_backward({of_x.columns, of_x.scale, w.columns, w.scale});
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["weight"] = static_cast<int64_t>(weight.scalar_type());
    auto shape = x.sizes().vec();
    shape.back() = weight.size(0);
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const bool of_x = context->needs_input_grad(0), of_weight = context->needs_input_grad(1);
    const auto g2 = rows(grads[0]).contiguous();
    const auto g = to_float8(g2, at::kFloat8_e5m2, {of_x, of_weight});
    at::Tensor grad_x, grad_weight, grad_bias;
    if (of_x) {
      auto shape = grads[0].sizes().vec();
      shape.back() = saved[2].size(0);
      grad_x = float8_product(g.rows, g.scale, saved[2], saved[3], g2.scalar_type(), false).view(shape);
    }
    if (of_weight) {
      const auto dtype = static_cast<at::ScalarType>(context->saved_data["weight"].toInt());
      grad_weight = float8_product(g.columns, g.scale, saved[0], saved[1], dtype, false);
    }
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) grad_bias = g2.sum(0);
    return {grad_x, grad_weight, grad_bias, at::Tensor()};
  }
};

}  // namespace

bool Float8Weight::fits(const at::Tensor& weight) {
  return weight.dim() == 2 && weight.size(0) % kernels::kFloat8Tile == 0 && weight.size(1) % kernels::kFloat8Tile == 0;
}

kernels::Float8 Float8Weight::of(const at::Tensor& weight) {
  return made_.get(weight, [&] { return to_float8(weight.detach().contiguous(), at::kFloat8_e4m3fn, {}); });
}

at::Tensor float8_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Float8Weight& kept) {
  return Float8Linear::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt, &kept);
}

}  // namespace antiphon::nn
