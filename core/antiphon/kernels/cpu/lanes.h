// Sixteen floats at once, with the few operations that the decoding kernels need. Compilers generate poor code for
// generic conversions from bytes, so the instructions are named.
#pragma once
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <antiphon/kernels/cpu/numbers.h>

namespace antiphon::kernels::ANTIPHON_ISA {
namespace {

constexpr int kLanes = 16;
#if defined(__AVX512F__)
constexpr bool kManyRegisters = true;  // 32, each of kLanes floats
#else
constexpr bool kManyRegisters = false;
#endif

#if defined(__AVX512F__)
typedef __m512 Floats;
inline Floats zero() { return _mm512_setzero_ps(); }
inline Floats lanes(const float* from) { return _mm512_loadu_ps(from); }
inline Floats lanes(const uint16_t* from) {
  const auto bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
inline Floats lanes(const int8_t* from) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}
// The low halves of 16 bytes, and the high ones, minus 8.
inline void halves(const uint8_t* from, Floats& low, Floats& high) {
  const auto both = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  const auto values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);  // takes the low 4 bits
  low = _mm512_permutexvar_ps(both, values);
  high = _mm512_permutexvar_ps(_mm512_srli_epi32(both, 4), values);
}
inline Floats multiply_add(Floats a, Floats b, Floats sum) { return _mm512_fmadd_ps(a, b, sum); }
inline Floats multiply_add(Floats a, float b, Floats sum) { return _mm512_fmadd_ps(a, _mm512_set1_ps(b), sum); }
inline Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
inline float total(Floats x) { return _mm512_reduce_add_ps(x); }
inline void write(Floats x, float* to) { _mm512_storeu_ps(to, x); }

#elif defined(__AVX2__)
struct Floats {
  __m256 low, high;
};
inline Floats zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Floats lanes(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
inline __m256 eight(const uint16_t* from) {
  const auto bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline Floats lanes(const uint16_t* from) { return {eight(from), eight(from + 8)}; }
inline __m128i eight_bytes(const void* from) { return _mm_loadl_epi64(static_cast<const __m128i*>(from)); }
inline Floats lanes(const int8_t* from) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight_bytes(from))),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight_bytes(from + 8)))};
}
inline __m256 minus_eight(__m256i x) { return _mm256_cvtepi32_ps(_mm256_sub_epi32(x, _mm256_set1_epi32(8))); }
inline void halves(const uint8_t* from, Floats& low, Floats& high) {
  const auto a = _mm256_cvtepu8_epi32(eight_bytes(from)), b = _mm256_cvtepu8_epi32(eight_bytes(from + 8));
  const auto mask = _mm256_set1_epi32(15);
  low = {minus_eight(_mm256_and_si256(a, mask)), minus_eight(_mm256_and_si256(b, mask))};
  high = {minus_eight(_mm256_srli_epi32(a, 4)), minus_eight(_mm256_srli_epi32(b, 4))};
}
inline Floats multiply_add(Floats a, Floats b, Floats sum) {
  return {_mm256_fmadd_ps(a.low, b.low, sum.low), _mm256_fmadd_ps(a.high, b.high, sum.high)};
}
inline Floats multiply_add(Floats a, float b, Floats sum) {
  const auto all = _mm256_set1_ps(b);
  return multiply_add(a, {all, all}, sum);
}
inline Floats add(Floats a, Floats b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
inline void write(Floats x, float* to) { _mm256_storeu_ps(to, x.low), _mm256_storeu_ps(to + 8, x.high); }
inline float total(Floats x) {
  float lane[8], sum = 0;
  _mm256_storeu_ps(lane, _mm256_add_ps(x.low, x.high));
  for (const float value : lane) sum += value;
  return sum;
}

#else
struct Floats {
  float lane[kLanes];
};
inline Floats zero() { return {}; }
template <class T>
inline Floats lanes(const T* from) {
  Floats x;
  for (int i = 0; i < kLanes; ++i) x.lane[i] = load(from[i]);
  return x;
}
inline Floats lanes(const int8_t* from) {
  Floats x;
  for (int i = 0; i < kLanes; ++i) x.lane[i] = static_cast<float>(from[i]);
  return x;
}
inline void halves(const uint8_t* from, Floats& low, Floats& high) {
  for (int i = 0; i < kLanes; ++i) {
    low.lane[i] = static_cast<float>((from[i] & 15) - 8);
    high.lane[i] = static_cast<float>((from[i] >> 4) - 8);
  }
}
inline Floats multiply_add(Floats a, Floats b, Floats sum) {
  for (int i = 0; i < kLanes; ++i) sum.lane[i] += a.lane[i] * b.lane[i];
  return sum;
}
inline Floats multiply_add(Floats a, float b, Floats sum) {
  for (int i = 0; i < kLanes; ++i) sum.lane[i] += a.lane[i] * b;
  return sum;
}
inline Floats add(Floats a, Floats b) {
  for (int i = 0; i < kLanes; ++i) a.lane[i] += b.lane[i];
  return a;
}
inline float total(Floats x) {
  float sum = 0;
  for (const float value : x.lane) sum += value;
  return sum;
}
inline void write(Floats x, float* to) {
  for (int i = 0; i < kLanes; ++i) to[i] = x.lane[i];
}
#endif

}  // namespace
}  // namespace antiphon::kernels::ANTIPHON_ISA
