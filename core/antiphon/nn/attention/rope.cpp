#include <antiphon/nn/attention/rope.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/kernels/ops.h>

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

// A rotation's gradient is the rotation back, so nothing of x is kept.
struct RopeFunction : torch::autograd::Function<RopeFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return kernels::rope(x, cos, sin, 1);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    return {kernels::rope(grads[0].contiguous(), saved[0], saved[1], -1), at::Tensor(), at::Tensor()};
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
  const auto device = positions_t.device();
  if (inverse_frequency_.device() != device) inverse_frequency_ = inverse_frequency_.to(device);
  const auto angles = at::outer(positions_t.to(at::kFloat), inverse_frequency_);
  const auto both = at::cat({angles, angles}, -1);
  return {both.cos().to(dtype), both.sin().to(dtype)};
}

at::Tensor apply_rope(const at::Tensor& x_thd, const RopeTable& table) {
  return RopeFunction::apply(x_thd, table.cos_td, table.sin_td);
}

}  // namespace antiphon::nn
