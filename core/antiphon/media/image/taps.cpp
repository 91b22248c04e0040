#include <antiphon/media/image/taps.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace antiphon::media {
namespace {

using Kernel = double (*)(double);

double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

double triangle(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double hamming(double x) {
  x = std::abs(x);
  if (x == 0.0) return 1.0;
  if (x >= 1.0) return 0.0;
  x *= std::numbers::pi;
  return std::sin(x) / x * (0.54F + 0.46F * std::cos(x));  // Pillow's constants are floats
}

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos3(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

struct Kind {
  Kernel kernel;
  double support;
};

Kind kind_of(Filter filter) {
  switch (filter) {
    case Filter::lanczos: return {lanczos3, 3.0};
    case Filter::bicubic: return {cubic, 2.0};
    case Filter::hamming: return {hamming, 1.0};
    case Filter::box: return {box, 0.5};
    default: return {triangle, 1.0};
  }
}

}  // namespace

TapTable::TapTable(int64_t input, int64_t output, Filter filter, int64_t begin, int64_t count) {
  const Kind window = kind_of(filter);
  const double scale = static_cast<double>(input) / static_cast<double>(output);
  const double stretch = std::max(scale, 1.0), support = window.support * stretch;
  stride_ = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  weights_.assign(static_cast<size_t>(count * stride_), 0);
  std::vector<double> weights(static_cast<size_t>(stride_));
  for (int64_t out = 0; out < count; ++out) {
    const double center = (static_cast<double>(begin + out) + 0.5) * scale;
    const auto first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const auto end = std::min(input, static_cast<int64_t>(center + support + 0.5));
    const int64_t taps = end - first;
    double sum = 0;
    for (int64_t i = 0; i < taps; ++i) {
      weights[i] = window.kernel((static_cast<double>(i + first) - center + 0.5) * (1.0 / stretch));
      sum += weights[i];
    }
    for (int64_t i = 0; i < taps; ++i) {
      const double weight = sum != 0.0 ? weights[i] / sum : weights[i];
      weights_[out * stride_ + i] = static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kernels::kTapBits));
    }
    first_.push_back(static_cast<int32_t>(first)), count_.push_back(static_cast<int32_t>(taps));
  }
}

kernels::Taps TapTable::taps(int64_t skipped) {
  shifted_ = first_;
  for (auto& first : shifted_) first -= static_cast<int32_t>(skipped);
  return {shifted_.data(), count_.data(), weights_.data(), stride_, outputs()};
}

}  // namespace antiphon::media
