#include <antiphon/media/resize.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include <fmt/format.h>

#include <antiphon/base/error.h>

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define ANTIPHON_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ANTIPHON_CLONES
#endif

namespace antiphon::media {
namespace {

constexpr int kBits = 32 - 8 - 2;  // fraction of a coefficient: 8 bits of value and 2 of overshoot are left
constexpr int32_t kHalf = 1 << (kBits - 1);

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
  return std::sin(x) / x * (0.54 + 0.46 * std::cos(x));
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

struct Window {
  Kernel kernel;
  double support;
};

Window window_of(Filter filter) {
  switch (filter) {
    case Filter::lanczos: return {lanczos3, 3.0};
    case Filter::bicubic: return {cubic, 2.0};
    case Filter::hamming: return {hamming, 1.0};
    case Filter::box: return {box, 0.5};
    default: return {triangle, 1.0};
  }
}

// For each output position the first input position, the number of taps, and `stride` coefficients.
struct Taps {
  struct Span {
    int64_t first, count;
  };
  std::vector<Span> spans;
  std::vector<int32_t> weights;
  int64_t stride;
};

Taps taps_for(int64_t input, int64_t output, Window window) {
  const double scale = static_cast<double>(input) / static_cast<double>(output);
  const double stretch = std::max(scale, 1.0);
  const double support = window.support * stretch;
  Taps taps;
  taps.stride = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  taps.weights.assign(static_cast<size_t>(output * taps.stride), 0);
  std::vector<double> weights(static_cast<size_t>(taps.stride));
  for (int64_t out = 0; out < output; ++out) {
    const double center = (static_cast<double>(out) + 0.5) * scale;
    const auto first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const auto end = std::min(input, static_cast<int64_t>(center + support + 0.5));
    const int64_t count = end - first;
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      weights[i] = window.kernel((static_cast<double>(i + first) - center + 0.5) * (1.0 / stretch));
      sum += weights[i];
    }
    for (int64_t i = 0; i < count; ++i) {
      const double weight = sum != 0.0 ? weights[i] / sum : weights[i];
      taps.weights[out * taps.stride + i] = static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kBits));
    }
    taps.spans.push_back({first, count});
  }
  return taps;
}

inline uint8_t clip(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255)); }

using Lanes = int32_t __attribute__((vector_size(16)));

// `row` is readable one byte beyond its last pixel: a tap loads four bytes and the fourth lane is dropped.
ANTIPHON_CLONES void resize_row(const uint8_t* row, uint8_t* out, const Taps::Span* spans, const int32_t* weights,
                                int64_t stride, int64_t width) {
  for (int64_t x = 0; x < width; ++x) {
    const uint8_t* in = row + spans[x].first * 3;
    const int32_t* weight = weights + x * stride;
    Lanes sum = {kHalf, kHalf, kHalf, kHalf};
    for (int64_t i = 0; i < spans[x].count; ++i) {
      using Bytes = uint8_t __attribute__((vector_size(4)));
      Bytes pixel;
      std::memcpy(&pixel, in + i * 3, 4);
      sum += __builtin_convertvector(pixel, Lanes) * weight[i];
    }
    for (int channel = 0; channel < 3; ++channel) out[x * 3 + channel] = clip(sum[channel]);
  }
}

// `rows` points at the first of `count` rows of `length` bytes, one beneath the other.
ANTIPHON_CLONES void mix_rows(const uint8_t* rows, const int32_t* weights, int64_t count, int64_t length, int32_t* sums,
                              uint8_t* out) {
  for (int64_t i = 0; i < length; ++i) sums[i] = kHalf;
  for (int64_t tap = 0; tap < count; ++tap) {
    const uint8_t* row = rows + tap * length;
    const int32_t weight = weights[tap];
    for (int64_t i = 0; i < length; ++i) sums[i] += row[i] * weight;
  }
  for (int64_t i = 0; i < length; ++i) {
    const int32_t value = sums[i] >> kBits;
    out[i] = static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  }
}

// The rows [first, end) of `image` at the new width.
Image resize_rows(const Image& image, int64_t first, int64_t end, int64_t width, Window window) {
  const Taps taps = taps_for(image.width, width, window);
  const auto length = static_cast<size_t>(image.width * 3);
  Image out{end - first, width, std::vector<uint8_t>(static_cast<size_t>((end - first) * width * 3))};
  std::vector<uint8_t> row(length + 1);
  for (int64_t y = first; y < end; ++y) {
    std::memcpy(row.data(), image.rgb.data() + y * image.width * 3, length);
    resize_row(row.data(), out.rgb.data() + (y - first) * width * 3, taps.spans.data(), taps.weights.data(),
               taps.stride, width);
  }
  return out;
}

// `image` begins at row `skipped` of the picture that the taps are made for.
Image resize_columns(const Image& image, const Taps& taps, int64_t skipped) {
  const auto height = static_cast<int64_t>(taps.spans.size()), length = image.width * 3;
  Image out{height, image.width, std::vector<uint8_t>(static_cast<size_t>(height * length))};
  std::vector<int32_t> sums(static_cast<size_t>(length));
  for (int64_t y = 0; y < height; ++y)
    mix_rows(image.rgb.data() + (taps.spans[y].first - skipped) * length, taps.weights.data() + y * taps.stride,
             taps.spans[y].count, length, sums.data(), out.rgb.data() + y * length);
  return out;
}

// Rows first, except (from Pillow 13 on, its pull request 9549) where the height loses more than twice what the width
// does.
Image resize_filtered(const Image& image, Size size, Window window) {
  if (size.height == image.height)
    return size.width == image.width ? image : resize_rows(image, 0, image.height, size.width, window);
  const Taps taps = taps_for(image.height, size.height, window);
  if (size.width == image.width) return resize_columns(image, taps, 0);
  const int64_t lost = image.height - size.height;
  if (lost > 0 && lost > 2 * (image.width - size.width))
    return resize_rows(resize_columns(image, taps, 0), 0, size.height, size.width, window);
  const int64_t first = taps.spans.front().first, end = taps.spans.back().first + taps.spans.back().count;
  return resize_columns(resize_rows(image, first, end, size.width, window), taps, first);
}

// Pillow walks in steps of a double, whose rounding decides ties: the same sum, term by term.
std::vector<int64_t> nearest_positions(int64_t input, int64_t output) {
  const double step = static_cast<double>(input) / static_cast<double>(output);
  std::vector<int64_t> positions;
  double at = step * 0.5;
  for (int64_t i = 0; i < output; ++i, at += step) positions.push_back(std::min(static_cast<int64_t>(at), input - 1));
  return positions;
}

Image resize_nearest(const Image& image, Size size) {
  const auto xs = nearest_positions(image.width, size.width), ys = nearest_positions(image.height, size.height);
  Image out{size.height, size.width, std::vector<uint8_t>(static_cast<size_t>(size.height * size.width * 3))};
  uint8_t* to = out.rgb.data();
  for (const int64_t y : ys) {
    const uint8_t* row = image.rgb.data() + y * image.width * 3;
    for (const int64_t x : xs) to = std::copy_n(row + x * 3, 3, to);
  }
  return out;
}

}  // namespace

std::string_view to_string(Filter filter) {
  constexpr std::string_view names[] = {"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"};
  return names[static_cast<int>(filter)];
}

Filter filter_from_number(int64_t number) {
  if (number < 0 || number > 5)
    fail(ErrorKind::config, fmt::format("resample = {} is no filter", number),
         "0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming");
  return static_cast<Filter>(number);
}

Image resize(const Image& image, Size size, Filter filter) {
  if (image.height <= 0 || image.width <= 0 || size.height <= 0 || size.width <= 0)
    fail(ErrorKind::data, fmt::format("cannot resize a picture of {} x {} to {} x {}", image.width, image.height,
                                      size.width, size.height));
  return filter == Filter::nearest ? resize_nearest(image, size) : resize_filtered(image, size, window_of(filter));
}

}  // namespace antiphon::media
