#include <antiphon/nn/attention/rope.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/kernels/ops.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

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

// The frequency, by its number, that turns so many times within the original positions.
double frequency_turning(double times, int64_t rotary_size, double theta, const RopeScaling& s) {
  return static_cast<double>(rotary_size) *
         std::log(static_cast<double>(s.original_max_positions) / (times * 2 * std::numbers::pi)) /
         (2 * std::log(theta));
}

at::Tensor yarn_scaled(const at::Tensor& powers, int64_t rotary_size, double theta, const RopeScaling& s) {
  double low = frequency_turning(s.beta_fast, rotary_size, theta, s),
         high = frequency_turning(s.beta_slow, rotary_size, theta, s);
  if (s.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, static_cast<double>(rotary_size - 1));
  if (low == high) high += 0.001;
  const auto ramp = ((at::arange(rotary_size / 2, at::kFloat) - low) / (high - low)).clamp(0, 1), kept = 1 - ramp;
  return 1.0 / (s.factor * powers) * (1 - kept) + 1.0 / powers * kept;
}

void check_dynamic(int64_t rotary_size, const std::vector<int64_t>& axes) {
  if (!axes.empty())
    fail(ErrorKind::config, "rope_type = \"dynamic\" with positions on several axes, of which none is a text's length",
         "take another rope_type");
  if (rotary_size <= 2)
    fail(ErrorKind::config, "rope_type = \"dynamic\" with one frequency; two at least are needed",
         "take another rope_type, or wider heads");
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

Rope::Rope(int64_t rotary_size, double theta, const RopeScaling& scaling, const std::vector<int64_t>& axes) {
  const auto exponents = at::arange(0, rotary_size, 2, at::kLong).to(at::kFloat) / static_cast<double>(rotary_size);
  const auto powers = at::pow(theta, exponents);
  inverse_frequency_ = 1.0 / powers;
  if (scaling.type == "linear") inverse_frequency_ = inverse_frequency_ / scaling.factor;
  if (scaling.type == "llama3") {
    auto* value = inverse_frequency_.mutable_data_ptr<float>();
    for (int64_t i = 0; i < inverse_frequency_.numel(); ++i) value[i] = llama3_scaled(value[i], scaling);
  }
  if (scaling.type == "yarn") {
    inverse_frequency_ = yarn_scaled(powers, rotary_size, theta, scaling);
    multiplier_ = scaling.table_multiplier;
  }
  if (scaling.type == "longrope") {
    const auto divided = [&](const std::vector<double>& factors) {
      return 1.0 / (at::tensor(factors, at::kFloat) * powers);
    };
    inverse_frequency_ = divided(scaling.short_factors), long_inverse_frequency_ = divided(scaling.long_factors);
    long_from_ = scaling.original_max_positions, multiplier_ = scaling.table_multiplier;
  }
  if (scaling.type == "dynamic") {
    check_dynamic(rotary_size, axes);
    exponents_ = exponents, theta_ = theta, factor_ = scaling.factor, long_from_ = scaling.original_max_positions;
    power_ = static_cast<double>(rotary_size) / static_cast<double>(rotary_size - 2);
  }
  if (axes.empty()) return;
  axis_of_frequency_ = at::tensor(axes, at::kLong);
  axes_ = *std::ranges::max_element(axes) + 1;
}

Rope Rope::of_grid(int64_t head_size, double theta, bool interleaved) {
  Rope rope(interleaved ? head_size : head_size / 2, theta, {});
  const auto& own = rope.inverse_frequency_;
  rope.inverse_frequency_ = interleaved ? own.view({-1, 2}).t().flatten() : own.repeat({2});
  rope.axis_of_frequency_ = at::arange(2, at::kLong).repeat_interleave(head_size / 4);
  rope.axes_ = 2;
  return rope;
}

// [tokens, frequencies], or [tokens, 1] if there is one axis.
at::Tensor Rope::positions_of_frequencies(const at::Tensor& positions_at) const {
  if (positions_at.size(0) != axes_)
    fail(ErrorKind::internal,
         fmt::format("the rotary embedding wants positions on {} axes and got {}", axes_, positions_at.size(0)));
  const auto positions_ta = positions_at.to(at::kFloat).t();
  return axes_ == 1 ? positions_ta : positions_ta.index_select(1, axis_of_frequency_);
}

// [frequencies], or [tokens, frequencies] if they depend on how long a token's text is.
at::Tensor Rope::frequencies(const at::Tensor& last_t) const {
  if (!needs_last()) return inverse_frequency_;
  const auto long_td = exponents_.defined() ? dynamic_frequencies(last_t) : long_inverse_frequency_;
  return at::where(last_t.ge(long_from_).unsqueeze(1), long_td, inverse_frequency_);
}

// In the order and the precision of the reference. Short texts are not of interest, but have numbers.
at::Tensor Rope::dynamic_frequencies(const at::Tensor& last_t) const {
  const auto length_t = (last_t + 1).clamp_min(long_from_);
  const auto stretched_t = factor_ * length_t / static_cast<double>(long_from_) - (factor_ - 1);
  return 1.0 / at::pow((theta_ * stretched_t.pow(power_)).unsqueeze(1), exponents_);
}

RopeTable Rope::table(const at::Tensor& positions_at, at::ScalarType dtype, const at::Tensor& last_t) const {
  const auto device = positions_at.device();
  if (inverse_frequency_.device() != device)
    for (auto* own : {&inverse_frequency_, &long_inverse_frequency_, &exponents_, &axis_of_frequency_})
      if (own->defined()) *own = own->to(device);
  const auto angles = positions_of_frequencies(positions_at) * frequencies(last_t);
  const auto both = at::cat({angles, angles}, -1);
  if (multiplier_ == 1) return {both.cos().to(dtype), both.sin().to(dtype)};
  return {(both.cos() * multiplier_).to(dtype), (both.sin() * multiplier_).to(dtype)};
}

std::vector<int64_t> axes_of_sections(const std::vector<int64_t>& sections, int64_t axes) {
  std::vector<int64_t> all;
  for (size_t i = 0; i < sections.size(); ++i)
    all.insert(all.end(), static_cast<size_t>(sections[i]), static_cast<int64_t>(i) % axes);
  return all;
}

std::vector<int64_t> axes_in_turn(const std::vector<int64_t>& sections) {
  const auto axes = std::ssize(sections);
  std::vector<int64_t> all(static_cast<size_t>(std::accumulate(sections.begin(), sections.end(), int64_t{0})), 0);
  for (int64_t i = 0; i < std::ssize(all); ++i)
    if (i < axes * sections[static_cast<size_t>(i % axes)]) all[static_cast<size_t>(i)] = i % axes;
  return all;
}

at::Tensor apply_rope(const at::Tensor& x_thd, const RopeTable& table) {
  return RopeFunction::apply(x_thd, table.cos_td, table.sin_td);
}

}  // namespace antiphon::nn
