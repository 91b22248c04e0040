// How the kernels read and write numbers of type float or uint16_t (bfloat16's bits), and functions of them that can be
// vectorised.
#pragma once
#ifdef __SSE__
#include <xmmintrin.h>
#endif

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

// While it lives, this thread takes numbers below 2^-126 for 0, read or computed. A processor hands each product with
// one of them to microcode, a hundred cycles or more; what is so far below the other terms of a sum changes none of
// them.
class TinyIsZero {
#ifdef __SSE__
 public:
  TinyIsZero() { _mm_setcsr(before_ | kFlushResults | kFlushOperands); }
  ~TinyIsZero() { _mm_setcsr(before_); }
  TinyIsZero(const TinyIsZero&) = delete;

 private:
  static constexpr unsigned kFlushResults = 0x8000, kFlushOperands = 0x0040;
  const unsigned before_ = _mm_getcsr();
#else
 public:
  TinyIsZero() {}  // NOLINT: a variable of a type with a constructor is not unused
#endif
};

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

constexpr float kLog2E = 1.44269504088896341f;

// 2^x for x ≤ 0, and 2^-125 for all that is less; NaN stays NaN. Within 2e-7 of the result: a polynomial with the least
// largest relative error over [-1/2, 1/2].
inline float power_of_two(float x) {
  x = x < -125.0f ? -125.0f : x;
  const float shifted = x + 12582912.0f;  // 1.5 · 2^23: its last bits are x, rounded
  const float r = x - (shifted - 12582912.0f);
  float p = 1.3264728468e-3f;
  p = p * r + 9.6715127135e-3f;
  p = p * r + 5.5507337388e-2f;
  p = p * r + 2.4022242084e-1f;
  p = p * r + 6.9314697760e-1f;
  p = p * r + 1.0f;
  return p * __builtin_bit_cast(float, (__builtin_bit_cast(uint32_t, shifted) << 23) + (127u << 23));
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
