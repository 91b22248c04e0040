// How the kernels read and write numbers of type float or uint16_t (bfloat16's bits), and functions of them that can be
// vectorised.
#pragma once
#include <cstdint>

namespace antiphon::kernels::ANTIPHON_ISA {
namespace {

inline float load(float value) { return value; }
inline float load(uint16_t bits) { return __builtin_bit_cast(float, static_cast<uint32_t>(bits) << 16); }

inline void store(float* to, float value) { *to = value; }
inline void store(uint16_t* to, float value) {  // to nearest, ties to even; NaN stays NaN
  const auto bits = __builtin_bit_cast(uint32_t, value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  *to = static_cast<uint16_t>(value != value ? 0x7fc0u : rounded);
}

template <class T>
inline float rounded(float value) {
  T stored;
  store(&stored, value);
  return load(stored);
}

// 2^n · p(r): range reduction and polynomial of Cephes' expf, within 2 units in the last place; no call, so that loops
// over it are vectorised.
inline float exponential(float x) {
  x = x > 88.0f ? 88.0f : x;
  x = x < -87.0f ? -87.0f : x;
  const float n = (x * 1.44269504088896341f + 12582912.0f) - 12582912.0f;
  const float r = x - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * __builtin_bit_cast(float, (static_cast<int32_t>(n) + 127) << 23);
}

inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

// Near 0 the polynomial of Cephes' tanhf, else by the exponential.
inline float hyperbolic_tangent(float x) {
  const float size = x < 0.0f ? -x : x, z = x * x;
  const float far = 1.0f - 2.0f / (exponential(2.0f * size) + 1.0f);
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float near = p * z * x + x;
  return size < 0.625f ? near : x < 0.0f ? -far : far;
}

}  // namespace
}  // namespace antiphon::kernels::ANTIPHON_ISA
