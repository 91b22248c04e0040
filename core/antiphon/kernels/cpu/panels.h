// Quantised matrices by panels, as decode.h describes them: read, unpacked and packed.
#pragma once
#include <antiphon/kernels/cpu/lanes.h>
#include <antiphon/kernels/decode.h>

namespace antiphon::kernels::ANTIPHON_ISA {
namespace {

// Two columns of a panel, as floats.
struct Int8 {
  static constexpr int64_t kBytesOfPair = 2 * kPanel;
  static inline void pair(const uint8_t* from, Floats& even, Floats& odd) {
    even = lanes(reinterpret_cast<const int8_t*>(from)), odd = lanes(reinterpret_cast<const int8_t*>(from) + kPanel);
  }
};

struct Int4 {
  static constexpr int64_t kBytesOfPair = kPanel;
  static inline void pair(const uint8_t* from, Floats& even, Floats& odd) { halves(from, even, odd); }
};

template <class T>
inline void write_as(Floats x, T* to) {
  float values[kLanes];
  write(x, values);
#pragma omp simd
  for (int i = 0; i < kLanes; ++i) store(to + i, values[i]);
}

// One group of a panel's columns.
template <class Format, class T>
inline void unpack_group(const Matrix& m, T* y, int64_t index, int64_t first) {
  const auto* values = static_cast<const uint8_t*>(m.values) + (index * m.in + first) / 2 * Format::kBytesOfPair;
  const Floats scale = lanes(m.scales + (index * m.in + first) / kGroup * kPanel);
  T* column = y + first * m.out + index * kPanel;
#pragma GCC unroll 4
  for (int64_t k = 0; k < kGroup; k += 2, values += Format::kBytesOfPair, column += 2 * m.out) {
    Floats even, odd;
    Format::pair(values, even, odd);
    write_as(multiply_add(even, scale, zero()), column);
    write_as(multiply_add(odd, scale, zero()), column + m.out);
  }
}

// Several panels side by side, so that whole lines of the cache are written before they leave it.
template <class Format, class T>
void unpack_panels(const Matrix& m, T* y, int64_t begin, int64_t end) {
  constexpr int64_t kTogether = 8;
  for (int64_t from = begin / kPanel; from < end / kPanel; from += kTogether) {
    const int64_t to = from + kTogether < end / kPanel ? from + kTogether : end / kPanel;
    for (int64_t first = 0; first < m.in; first += kGroup)
      for (int64_t index = from; index < to; ++index) unpack_group<Format>(m, y, index, first);
  }
}

template <class T>
void unpack(const Matrix& matrix, T* y, int64_t begin, int64_t end) {
  if (matrix.format == WeightFormat::int8) unpack_panels<Int8>(matrix, y, begin, end);
  if (matrix.format == WeightFormat::int4) unpack_panels<Int4>(matrix, y, begin, end);
}

// A group of a panel's columns, column by column; rows are the lanes. Loops over lanes are vectorised.
struct Group {
  float x[kGroup][kPanel];
};

template <class T>
inline Group read_group(const T* weight, int64_t in) {
  Group group;
  for (int64_t row = 0; row < kPanel; ++row)
    for (int64_t k = 0; k < kGroup; ++k) group.x[k][row] = load(weight[row * in + k]);
  return group;
}

// x / scale to the nearest of -limit - 1, ..., limit. Adding 1.5 · 2^23 rounds: no call, and ties go to even.
inline float quantised(float x, float scale, float limit) {
  float q = x / scale;
  q = q > limit ? limit : q;
  q = q < -limit - 1 ? -limit - 1 : q;
  return (q + 12582912.0f) - 12582912.0f;
}

constexpr float kSmallest = 1e-30f;  // replaces the scale of an all-zero group

inline float divisor_of(float scale) {
  const float size = scale < 0 ? -scale : scale;
  return size > kSmallest ? scale : kSmallest;
}

// For each row the value farthest from zero.
inline void farthest(const Group& group, float* values) {
  for (int64_t r = 0; r < kPanel; ++r) values[r] = 0;
  for (int64_t k = 0; k < kGroup; ++k)
#pragma omp simd
    for (int64_t r = 0; r < kPanel; ++r)
      values[r] = group.x[k][r] * group.x[k][r] > values[r] * values[r] ? group.x[k][r] : values[r];
}

struct Scales {
  float best[kPanel] = {}, error[kPanel];
};

// Takes `scale` for the rows whose error it reduces. An error weighs as much as its number is large.
inline void consider(const Group& group, const float* scale, float limit, bool first, Scales& scales) {
  float error[kPanel] = {};
  for (int64_t k = 0; k < kGroup; ++k)
#pragma omp simd
    for (int64_t r = 0; r < kPanel; ++r) {
      const float x = group.x[k][r], off = quantised(x, divisor_of(scale[r]), limit) * scale[r] - x;
      error[r] += off * off * (x < 0 ? -x : x);
    }
#pragma omp simd
  for (int64_t r = 0; r < kPanel; ++r) {
    const bool better = first || error[r] < scales.error[r];
    scales.best[r] = better ? scale[r] : scales.best[r];
    scales.error[r] = better ? error[r] : scales.error[r];
  }
}

// Scales by which the farthest number becomes `limit`.
inline void spanning_scales(const Group& group, float limit, float* scale) {
  float far[kPanel];
  farthest(group, far);
  for (int64_t r = 0; r < kPanel; ++r) scale[r] = rounded<uint16_t>((far[r] < 0 ? -far[r] : far[r]) / limit);
}

// Of `tries` scales, by which it becomes that or, with a scale of either sign, -limit - 1, or a little less: it is
// never cut.
inline void best_scales(const Group& group, float limit, int tries, float* best) {
  float far[kPanel], scale[kPanel];
  farthest(group, far);
  Scales scales;
  for (int i = 0; i < tries; ++i) {
    const float share = 1 + 0.025f * static_cast<float>(i / 2);
    for (int64_t r = 0; r < kPanel; ++r) {
      const float size = far[r] < 0 ? -far[r] : far[r];
      scale[r] = rounded<uint16_t>(share * (i % 2 == 0 ? size / limit : far[r] / (-limit - 1)));
    }
    consider(group, scale, limit, i == 0, scales);
  }
  for (int64_t r = 0; r < kPanel; ++r) best[r] = scales.best[r];
}

inline void write_group(const Group& group, const float* divisor, float limit, int8_t* values) {
  for (int64_t k = 0; k < kGroup; ++k)
#pragma omp simd
    for (int64_t r = 0; r < kPanel; ++r)
      values[k * kPanel + r] = static_cast<int8_t>(static_cast<int32_t>(quantised(group.x[k][r], divisor[r], limit)));
}

template <class T>
void pack(const T* weight, int64_t in, WeightFormat format, uint8_t* values, uint16_t* scales, int64_t begin,
          int64_t end) {
  const bool narrow = format == WeightFormat::int4;
  const float limit = narrow ? 7 : 127;
  int8_t wide[kGroup * kPanel];
  float scale[kPanel];
  for (int64_t row = begin; row < end; row += kPanel) {
    for (int64_t first = 0; first < in; first += kGroup) {
      const Group group = read_group(weight + row * in + first, in);
      narrow ? best_scales(group, limit, 16, scale) : spanning_scales(group, limit, scale);
      for (int64_t r = 0; r < kPanel; ++r) {
        store(scales + (row * in + first * kPanel) / kGroup + r, scale[r]);
        scale[r] = divisor_of(scale[r]);
      }
      const int64_t at = row * in + first * kPanel;
      write_group(group, scale, limit, narrow ? wide : reinterpret_cast<int8_t*>(values) + at);
      if (!narrow) continue;
      for (int64_t k = 0; k < kGroup / 2; ++k)
        for (int64_t r = 0; r < kPanel; ++r)
          values[at / 2 + k * kPanel + r] =
              static_cast<uint8_t>((wide[2 * k * kPanel + r] + 8) | ((wide[(2 * k + 1) * kPanel + r] + 8) << 4));
    }
  }
}

}  // namespace
}  // namespace antiphon::kernels::ANTIPHON_ISA
