#include <antiphon/nn/rope.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/kernels/for_rows.h>

#include <cmath>
#include <numbers>

namespace antiphon::nn {
namespace {

float llama3_scaled(float frequency, const RopeScaling& s) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double original = static_cast<double>(s.original_max_positions);
  if (wavelength < original / s.high_freq_factor) return frequency;
  if (wavelength > original / s.low_freq_factor) return static_cast<float>(frequency / s.factor);
  const double smooth = (original / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return static_cast<float>((1 - smooth) * frequency / s.factor + smooth * frequency);
}

// x [tokens, heads, head_size]; cos, sin [tokens, rotary_size].
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos_td, const at::Tensor& sin_td, double sign) {
  if (kernels::fits(x) && x.is_contiguous() && cos_td.is_contiguous() && sin_td.is_contiguous() &&
      cos_td.scalar_type() == x.scalar_type()) {
    auto y = at::empty_like(x);
    kernels::for_rows(
        x, x.size(0), x.size(1) * x.size(2), [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
          using T = decltype(type);
          kernel.rope(kernels::data<T>(x), kernels::data<T>(cos_td), kernels::data<T>(sin_td), kernels::data<T>(y),
                      begin, end, x.size(1), x.size(2), cos_td.size(1), static_cast<float>(sign));
        });
    return y;
  }
  const auto cos = cos_td.unsqueeze(1), sin = sin_td.unsqueeze(1);
  const int64_t rotary = cos_td.size(1), half = rotary / 2;
  if (rotary < x.size(-1))
    return at::cat({rotate(x.narrow(-1, 0, rotary), cos_td, sin_td, sign), x.narrow(-1, rotary, x.size(-1) - rotary)},
                   -1);
  auto y = x * cos;
  y.narrow(-1, 0, half).addcmul_(x.narrow(-1, half, half), sin.narrow(-1, 0, half), -sign);
  y.narrow(-1, half, half).addcmul_(x.narrow(-1, 0, half), sin.narrow(-1, half, half), sign);
  return y;
}

// A rotation's gradient is the rotation back, so nothing of x is kept.
struct RopeFunction : torch::autograd::Function<RopeFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotate(x, cos, sin, 1);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    return {rotate(grads[0].contiguous(), saved[0], saved[1], -1), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

Rope::Rope(int64_t rotary_size, double theta, const RopeScaling& scaling) {
  const auto exponents = at::arange(0, rotary_size, 2, at::kLong).to(at::kFloat) / static_cast<double>(rotary_size);
  inverse_frequency_ = 1.0 / at::pow(theta, exponents);
  if (scaling.type == "linear") inverse_frequency_ = inverse_frequency_ / scaling.factor;
  if (scaling.type == "llama3") {
    auto* value = inverse_frequency_.mutable_data_ptr<float>();
    for (int64_t i = 0; i < inverse_frequency_.numel(); ++i) value[i] = llama3_scaled(value[i], scaling);
  }
}

RopeTable Rope::table(const at::Tensor& positions_t, at::ScalarType dtype) const {
  const auto angles = at::outer(positions_t.to(at::kFloat), inverse_frequency_.to(positions_t.device()));
  const auto both = at::cat({angles, angles}, -1);
  return {both.cos().to(dtype), both.sin().to(dtype)};
}

at::Tensor apply_rope(const at::Tensor& x_thd, const RopeTable& table) {
  return RopeFunction::apply(x_thd, table.cos_td, table.sin_td);
}

}  // namespace antiphon::nn
