#include <antiphon/nn/linear/float8_linear.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/nn/linear/linear.h>

namespace antiphon::nn {
namespace {

using kernels::Float8, kernels::Float8Wanted;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Float8 converted(const at::Tensor& x, at::ScalarType format, Float8Wanted wanted, comm::Group* together) {
  const auto scale = kernels::float8_scale(x, format);
  if (together) together->largest(scale);
  if (x.numel() == 0) return {{}, {}, scale};
  return kernels::to_float8(x, scale, format, wanted);
}

at::Tensor product(const at::Tensor& a, const at::Tensor& a_scale, const at::Tensor& b, const at::Tensor& b_scale,
                   at::ScalarType dtype, bool fast) {
  return kernels::float8_product(a, a_scale, b, b_scale, dtype, fast);
}

struct Float8Linear : torch::autograd::Function<Float8Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, Float8Weight* kept) {
    const auto& options = kept->options();
    const auto w = kept->of(weight);
    const auto x2 = rows(x).contiguous();
    const auto of_x = converted(x2, at::kFloat8_e4m3fn, {.columns = weight.requires_grad()}, options.together);
    auto y = x2.numel() ? product(of_x.rows, of_x.scale, w.rows, w.scale, x.scalar_type(), true)
                        : x2.new_zeros({0, weight.size(0)});
    if (bias) y.add_(*bias);
    // A weight that lies elsewhere between the passes has its memory again in the backward one.
    context->save_for_backward({of_x.columns, of_x.scale, options.keeps_weight ? w.columns : weight, w.scale});
    context->saved_data["kept"] = options.keeps_weight;
    context->saved_data["together"] = reinterpret_cast<int64_t>(options.together);
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["weight"] = static_cast<int64_t>(weight.scalar_type());
    context->saved_data["in"] = weight.size(1);
    auto shape = x.sizes().vec();
    shape.back() = weight.size(0);
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const bool of_x = context->needs_input_grad(0), of_weight = context->needs_input_grad(1);
    const auto g2 = rows(grads[0]).contiguous();
    const auto g = converted(g2, at::kFloat8_e5m2, {of_x, of_weight},
                             reinterpret_cast<comm::Group*>(context->saved_data["together"].toInt()));
    const int64_t in = context->saved_data["in"].toInt();
    at::Tensor grad_x, grad_weight, grad_bias;
    if (of_x) {
      auto shape = grads[0].sizes().vec();
      shape.back() = in;
      grad_x = (g2.numel() ? product(g.rows, g.scale, weight_columns(context, saved), saved[3], g2.scalar_type(), false)
                           : g2.new_zeros({0, in}))
                   .view(shape);
    }
    if (of_weight) {
      const auto dtype = static_cast<at::ScalarType>(context->saved_data["weight"].toInt());
      grad_weight = g2.numel() ? product(g.columns, g.scale, saved[0], saved[1], dtype, false)
                               : at::zeros({g2.size(1), in}, g2.options().dtype(dtype));
    }
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) grad_bias = g2.sum(0);
    return {grad_x, grad_weight, grad_bias, at::Tensor()};
  }

  static at::Tensor weight_columns(AutogradContext* context, const variable_list& saved) {
    if (context->saved_data["kept"].toBool()) return saved[2];
    return kernels::to_float8(saved[2].detach().contiguous(), saved[3], at::kFloat8_e4m3fn, {.rows = false}).columns;
  }
};

}  // namespace

bool Float8Weight::fits(const at::Tensor& weight) {
  return weight.dim() == 2 && weight.size(0) % kernels::kFloat8Tile == 0 && weight.size(1) % kernels::kFloat8Tile == 0;
}

Float8 Float8Weight::of(const at::Tensor& weight) {
  const auto make = [&](Float8Wanted wanted) {
    return converted(weight.detach().contiguous(), at::kFloat8_e4m3fn, wanted, options_.together);
  };
  return options_.keeps_weight ? made_.get(weight, [&] { return make({}); }) : make({.columns = false});
}

at::Tensor float8_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Float8Weight& kept) {
  return Float8Linear::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt, &kept);
}

}  // namespace antiphon::nn
