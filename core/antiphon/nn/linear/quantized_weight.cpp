#include <antiphon/nn/linear/quantized_weight.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/error.h>
#include <antiphon/kernels/for_rows.h>
#include <antiphon/kernels/mm.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::nn {
using kernels::kGroup, kernels::kPanel, kernels::WeightFormat;
using torch::autograd::AutogradContext, torch::autograd::variable_list;

namespace {

// Calls body(kernels, element type, begin, end) for shares of the rows, multiples of kPanel, on all threads.
template <class Body>
void for_panels(at::ScalarType dtype, int64_t out, int64_t in, const Body& body) {
  kernels::share_rows(out / kPanel, kPanel * in, [&](int64_t begin, int64_t end) {
    if (dtype == at::kFloat)
      body(kernels::decode_kernels<float>(), float{}, begin * kPanel, end * kPanel);
    else
      body(kernels::decode_kernels<uint16_t>(), uint16_t{}, begin * kPanel, end * kPanel);
  });
}

}  // namespace

bool QuantizedWeight::fits(const at::Tensor& weight) {
  return weight.dim() == 2 && weight.size(0) % kPanel == 0 && weight.size(1) % kGroup == 0;
}

QuantizedWeight QuantizedWeight::of(const at::Tensor& weight, const std::string& format) {
  if (!fits(weight))
    fail(ErrorKind::internal,
         fmt::format("a weight of {} x {} cannot be quantised: its sides are to be multiples of {} and {}",
                     weight.size(0), weight.size(1), kPanel, kGroup));
  QuantizedWeight q;
  q.format = format == "int4" ? WeightFormat::int4 : WeightFormat::int8;
  q.out = weight.size(0), q.in = weight.size(1);
  const auto dtype = weight.scalar_type() == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
  const auto source = weight.detach().to(dtype).contiguous();
  const bool narrow = q.format == WeightFormat::int4;
  q.values = at::empty({q.out / kPanel, narrow ? q.in / 2 : q.in, kPanel}, narrow ? at::kByte : at::kChar);
  q.scales = at::empty({q.out / kPanel, q.in / kGroup, kPanel}, at::kBFloat16);
  for_panels(dtype, q.out, q.in, [&](const auto& table, auto type, int64_t begin, int64_t end) {
    table.pack(kernels::data<decltype(type)>(source), q.in, q.format, kernels::data<uint8_t>(q.values),
               kernels::data<uint16_t>(q.scales), begin, end);
  });
  return q;
}

kernels::Matrix QuantizedWeight::matrix() const {
  return {format, values.const_data_ptr(), kernels::data<uint16_t>(scales), out, in};
}

at::Tensor QuantizedWeight::dequantized(at::ScalarType dtype) const {
  if (dtype == at::kHalf) return dequantized(at::kFloat).to(at::kHalf);
  const auto y = at::empty({in, out}, values.options().dtype(dtype));
  const auto source = matrix();
  for_panels(dtype, out, in, [&](const auto& table, auto type, int64_t begin, int64_t end) {
    table.unpack(source, kernels::data<decltype(type)>(y), begin, end);
  });
  return y.t();
}

at::Tensor QuantizedWeight::rows(const at::Tensor& ids, at::ScalarType dtype) const {
  const auto panel = ids.div(kPanel, "floor"), lane = ids.remainder(kPanel);
  auto pick = [&](const at::Tensor& from) {  // [panels, columns, kPanel] -> [n, columns]
    const auto columns = at::arange(from.size(1), at::kLong).unsqueeze(0);
    return from.index({panel.unsqueeze(1), columns, lane.unsqueeze(1)});
  };
  auto q = pick(values);
  if (format == WeightFormat::int4)
    q = at::stack({q.bitwise_and(15), q.bitwise_right_shift(4)}, -1).to(at::kFloat).sub_(8);
  const auto x = q.to(at::kFloat).view({ids.numel(), in / kGroup, kGroup}) * pick(scales).to(at::kFloat).unsqueeze(-1);
  return x.view({ids.numel(), in}).to(dtype);
}

namespace {

struct QuantizedLinearFunction : torch::autograd::Function<QuantizedLinearFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& values,
                            const at::Tensor& scales, const std::optional<at::Tensor>& bias, int64_t format) {
    const auto weight = of(values, scales, format);
    context->save_for_backward({values, scales});
    context->saved_data["format"] = format;
    context->saved_data["bias"] = bias.has_value();
    return linear(x, weight.dequantized(x.scalar_type()), bias.value_or(at::Tensor()));
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto g = rows(grads[0]);
    const auto weight = of(saved[0], saved[1], context->saved_data["format"].toInt());
    at::Tensor grad_x, grad_bias;
    if (context->needs_input_grad(0)) {
      auto shape = grads[0].sizes().vec();
      shape.back() = weight.in;
      grad_x = kernels::mm(g, weight.dequantized(g.scalar_type())).view(shape);
    }
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(3)) grad_bias = g.sum(0);
    return {grad_x, at::Tensor(), at::Tensor(), grad_bias, at::Tensor()};
  }

  static QuantizedWeight of(const at::Tensor& values, const at::Tensor& scales, int64_t format) {
    return {static_cast<kernels::WeightFormat>(format), scales.size(0) * kernels::kPanel,
            scales.size(1) * kernels::kGroup, values, scales};
  }
};

}  // namespace

at::Tensor quantized_linear(const at::Tensor& x, const QuantizedWeight& weight, const at::Tensor& bias) {
  const bool trained = x.requires_grad() || (bias.defined() && bias.requires_grad());
  if (!at::GradMode::is_enabled() || !trained) return linear(x, weight.dequantized(x.scalar_type()), bias);
  return QuantizedLinearFunction::apply(x, weight.values, weight.scales,
                                        bias.defined() ? std::optional(bias) : std::nullopt,
                                        static_cast<int64_t>(weight.format));
}

}  // namespace antiphon::nn
