// The resizing kernels of every instruction set that this processor has, against plain loops: equal in every byte.
#include <antiphon/kernels/resample.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <random>
#include <vector>

namespace antiphon::kernels {
namespace baseline {
const ResampleKernels& resample_table();
}
namespace avx2 {
const ResampleKernels& resample_table();
}
}  // namespace antiphon::kernels

using namespace antiphon::kernels;

namespace {

using Bytes = std::vector<uint8_t>;

template <class Check>
void for_all(const Check& check) {
  check(baseline::resample_table());
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) check(avx2::resample_table());
#endif
  check(resample_kernels());
}

// Also values at both ends, which overshoot.
Bytes random_bytes(int64_t size, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(static_cast<size_t>(size));
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random() % 3 ? random() % 2 * 255 : random());
  return bytes;
}

// Windows of up to `most` positions of an edge, weights of both signs that add up to about one.
struct RandomTaps {
  std::vector<int32_t> first, count, weights;
  int64_t stride;
  Taps view() const { return {first.data(), count.data(), weights.data(), stride, static_cast<int64_t>(first.size())}; }
};

RandomTaps random_taps(int64_t input, int64_t output, int64_t most) {
  std::mt19937 random(static_cast<uint32_t>(input * 1000 + output));
  RandomTaps taps{{}, {}, std::vector<int32_t>(static_cast<size_t>(output * most), 0), most};
  for (int64_t i = 0; i < output; ++i) {
    const int64_t first = i * input / output, count = std::min(most, input - first);
    int32_t left = 1 << kTapBits;
    for (int64_t k = 0; k < count; ++k) {
      const int32_t weight = k + 1 == count ? left : static_cast<int32_t>(random() % (1 << 21)) - (1 << 19);
      taps.weights[static_cast<size_t>(i * most + k)] = weight, left -= weight;
    }
    taps.first.push_back(static_cast<int32_t>(first)), taps.count.push_back(static_cast<int32_t>(count));
  }
  return taps;
}

// Output `i` of samples `step` bytes apart.
uint8_t mixed(const uint8_t* in, int64_t step, const RandomTaps& taps, size_t i) {
  int64_t sum = int64_t{1} << (kTapBits - 1);
  for (int64_t k = 0; k < taps.count[i]; ++k)
    sum += int64_t{in[(taps.first[i] + k) * step]} *
           taps.weights[i * static_cast<size_t>(taps.stride) + static_cast<size_t>(k)];
  return static_cast<uint8_t>(std::clamp<int64_t>(sum >> kTapBits, 0, 255));
}

void check_across(const ResampleKernels& kernels, int64_t rows, int64_t channels, int64_t input, int64_t output) {
  const auto taps = random_taps(input, output, 5);
  const int64_t stride = input * channels + 3, out_stride = output * channels;
  const Bytes in = random_bytes(rows * stride - 3, 1);
  Bytes out(static_cast<size_t>(rows * out_stride)), expected;
  Bytes scratch(static_cast<size_t>(scratch_for_across(input, output, channels)));
  kernels.across({in.data(), stride, rows, channels, taps.view(), out.data(), out_stride, scratch.data()});
  for (int64_t y = 0; y < rows; ++y)
    for (int64_t i = 0; i < output; ++i)
      for (int64_t c = 0; c < channels; ++c)
        expected.push_back(mixed(in.data() + y * stride + c, channels, taps, static_cast<size_t>(i)));
  CHECK(out == expected);
}

void check_down(const ResampleKernels& kernels, int64_t length, int64_t input, int64_t output) {
  const auto taps = random_taps(input, output, 5);
  const int64_t stride = length + 3;
  const Bytes in = random_bytes(input * stride - 3, 2);
  Bytes out(static_cast<size_t>(output * length)), expected;
  kernels.down({in.data(), stride, length, taps.view(), out.data(), length});
  for (int64_t i = 0; i < output; ++i)
    for (int64_t x = 0; x < length; ++x) expected.push_back(mixed(in.data() + x, stride, taps, static_cast<size_t>(i)));
  CHECK(out == expected);
}

void check_yuv(const ResampleKernels& kernels, int64_t width, const ColourMatrix& m) {
  const int64_t half = width / 2;
  const Bytes y = random_bytes(width, 3), u = random_bytes(2 * half, 4), v = random_bytes(2 * half, 5);
  Bytes out(static_cast<size_t>(width * 3)), expected;
  std::vector<int16_t> scratch(static_cast<size_t>(width + 4));
  kernels.yuv_to_rgb(
      {y.data(), {u.data(), u.data() + half}, {v.data(), v.data() + half}, width, m, out.data(), scratch.data()});
  const auto channel = [&](int32_t sum) {
    const auto value = static_cast<int32_t>((static_cast<uint32_t>(sum) << 6) + static_cast<uint32_t>(m.offset));
    return static_cast<uint8_t>(std::clamp(value, 0, (1 << 30) - 1) >> 22);
  };
  for (int64_t x = 0; x < width; ++x) {
    const auto chroma = [&](const Bytes& plane) {
      const int64_t near = x / 2, far = std::clamp<int64_t>(near + (x % 2 ? 1 : -1), 0, half - 1);
      return 3 * (plane[near] + plane[half + near]) + plane[far] + plane[half + far] - 1024;
    };
    const int32_t luma = 8 * y[x] * m.luma;
    expected.push_back(channel(luma + chroma(v) * m.v_red));
    expected.push_back(channel(luma + chroma(v) * m.v_green + chroma(u) * m.u_green));
    expected.push_back(channel(luma + chroma(u) * m.u_blue));
  }
  CHECK(out == expected);
}

}  // namespace

TEST_CASE("rows and columns of pictures at other lengths") {
  for_all([](const ResampleKernels& kernels) {
    for (const int64_t input : {1, 2, 5, 16, 37, 70})
      for (const int64_t output : {1, 3, 16, 23, 90}) {
        for (const int64_t rows : {1, 15, 16})
          for (const int64_t channels : {1, 3}) check_across(kernels, rows, channels, input, output);
        for (const int64_t length : {1, 3, 15, 16, 17, 64, 100, 213}) check_down(kernels, length, input, output);
      }
  });
}

TEST_CASE("rows of YCbCr as RGB") {
  const ColourMatrix limited{9539, 13075, -6660, -3209, 16525, (1 << 21) - 8192 * 9539};
  const ColourMatrix full{8192, 11485, -5850, -2819, 14516, 1 << 21};
  for_all([&](const ResampleKernels& kernels) {
    for (const int64_t width : {16, 18, 30, 32, 46, 64, 130})
      for (const auto& matrix : {limited, full}) check_yuv(kernels, width, matrix);
  });
}
