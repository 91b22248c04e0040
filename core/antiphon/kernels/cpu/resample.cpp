// The kernels of resample.h.
#include <antiphon/kernels/cpu/resample_lanes.h>
#include <antiphon/kernels/cpu/yuv_rows.h>
#include <antiphon/kernels/resample.h>

namespace antiphon::kernels::ANTIPHON_ISA {
namespace {

constexpr int32_t kHalf = 1 << (kTapBits - 1);

// `rows` rows of `length` bytes as columns of kStripRows. Squares that would run past the end start earlier, so some
// columns are written twice.
void to_columns(const uint8_t* in, int64_t stride, int64_t rows, int64_t length, uint8_t* columns) {
  int64_t x = 0;
  if (rows == kStripRows && length >= 16)
    for (; x < length; x += 16) {
      const int64_t at = x + 16 <= length ? x : length - 16;
      turn(in + at, stride, columns + at * kStripRows, kStripRows);
    }
  for (; x < length; ++x)
    for (int64_t y = 0; y < kStripRows; ++y) columns[x * kStripRows + y] = in[(y < rows ? y : rows - 1) * stride + x];
}

void to_rows(const uint8_t* columns, int64_t rows, int64_t length, uint8_t* out, int64_t stride) {
  int64_t x = 0;
  if (rows == kStripRows && length >= 16)
    for (; x < length; x += 16) {
      const int64_t at = x + 16 <= length ? x : length - 16;
      turn(columns + at * kStripRows, kStripRows, out + at, stride);
    }
  for (; x < length; ++x)
    for (int64_t y = 0; y < rows; ++y) out[y * stride + x] = columns[x * kStripRows + y];
}

// One pixel of all rows.
template <int kChannels>
inline void mix_columns(const uint8_t* in, const int32_t* weights, int64_t count, uint8_t* out) {
  Ints sum[kChannels];
  for (auto& of_channel : sum) of_channel = all(kHalf);
  for (int64_t tap = 0; tap < count; ++tap, in += kChannels * kStripRows) {
    const Ints weight = all(weights[tap]);
    for (int c = 0; c < kChannels; ++c) sum[c] = multiply_add(in + c * kStripRows, weight, sum[c]);
  }
  for (int c = 0; c < kChannels; ++c) write_clipped(sum[c], out + c * kStripRows);
}

void across(const Across& a) {
  const Taps& taps = a.taps;
  const int64_t first = taps.first[0], last = taps.outputs - 1;
  const int64_t end = taps.first[last] + taps.count[last], length = (end - first) * a.channels;
  uint8_t* out = a.scratch + length * kStripRows;
  to_columns(a.in + first * a.channels, a.in_stride, a.rows, length, a.scratch);
  for (int64_t i = 0; i < taps.outputs; ++i) {
    const uint8_t* in = a.scratch + (taps.first[i] - first) * a.channels * kStripRows;
    const int32_t* weights = taps.weights + i * taps.stride;
    if (a.channels == 3) {
      mix_columns<3>(in, weights, taps.count[i], out + i * 3 * kStripRows);
    } else {
      mix_columns<1>(in, weights, taps.count[i], out + i * kStripRows);
    }
  }
  to_rows(out, a.rows, taps.outputs * a.channels, a.out, a.out_stride);
}

// kWide registers side by side.
template <int kWide>
inline void mix_rows(const uint8_t* in, int64_t stride, const int32_t* weights, int64_t count, uint8_t* out) {
  Ints sum[kWide];
  for (auto& part : sum) part = all(kHalf);
  for (int64_t tap = 0; tap < count; ++tap, in += stride) {
    const Ints weight = all(weights[tap]);
    for (int i = 0; i < kWide; ++i) sum[i] = multiply_add(in + i * kLanes, weight, sum[i]);
  }
  for (int i = 0; i < kWide; ++i) write_clipped(sum[i], out + i * kLanes);
}

void mix_row_by_byte(const uint8_t* in, int64_t stride, const int32_t* weights, int64_t count, uint8_t* out,
                     int64_t length) {
  for (int64_t x = 0; x < length; ++x) {
    int32_t sum = kHalf;
    for (int64_t tap = 0; tap < count; ++tap) sum += in[tap * stride + x] * weights[tap];
    out[x] = clipped(sum);
  }
}

void down(const Down& d) {
  constexpr int kWide = 4;
  for (int64_t i = 0; i < d.taps.outputs; ++i) {
    const uint8_t* in = d.in + d.taps.first[i] * d.in_stride;
    const int32_t* weights = d.taps.weights + i * d.taps.stride;
    const int64_t count = d.taps.count[i];
    uint8_t* out = d.out + i * d.out_stride;
    int64_t x = 0;
    for (; x + kWide * kLanes <= d.length; x += kWide * kLanes)
      mix_rows<kWide>(in + x, d.in_stride, weights, count, out + x);
    for (; x + kLanes <= d.length; x += kLanes) mix_rows<1>(in + x, d.in_stride, weights, count, out + x);
    if (x < d.length && x > 0) {
      x = d.length - kLanes;
      mix_rows<1>(in + x, d.in_stride, weights, count, out + x);
    } else {
      mix_row_by_byte(in + x, d.in_stride, weights, count, out + x, d.length - x);
    }
  }
}

}  // namespace

const ResampleKernels& resample_table() {
  static constexpr ResampleKernels table{across, down, yuv_to_rgb};
  return table;
}

}  // namespace antiphon::kernels::ANTIPHON_ISA
