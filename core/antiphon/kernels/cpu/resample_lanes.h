// Registers of 16 integers loaded from bytes, and the transposition of 16 x 16 bytes.
#pragma once
#ifdef __SSE2__
#include <immintrin.h>
#endif

#include <antiphon/kernels/resample.h>

namespace antiphon::kernels::ANTIPHON_ISA {
namespace {

constexpr int kLanes = 16;

inline uint8_t clipped(int32_t sum) {
  const int32_t value = sum >> kTapBits;
  return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

#if defined(__AVX512F__)
typedef __m512i Ints;
inline __m128i sixteen(const uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
inline Ints all(int32_t value) { return _mm512_set1_epi32(value); }
inline Ints multiply_add(const uint8_t* from, Ints weight, Ints sum) {
  return _mm512_add_epi32(sum, _mm512_mullo_epi32(_mm512_cvtepu8_epi32(sixteen(from)), weight));
}
inline void write_clipped(Ints sum, uint8_t* to) {
  const auto value = _mm512_max_epi32(_mm512_srai_epi32(sum, kTapBits), _mm512_setzero_si512());
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtusepi32_epi8(value));
}

#elif defined(__AVX2__)
struct Ints {
  __m256i low, high;
};
inline __m256i eight(const uint8_t* from) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}
inline Ints all(int32_t value) { return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)}; }
inline Ints multiply_add(const uint8_t* from, Ints weight, Ints sum) {
  return {_mm256_add_epi32(sum.low, _mm256_mullo_epi32(eight(from), weight.low)),
          _mm256_add_epi32(sum.high, _mm256_mullo_epi32(eight(from + 8), weight.high))};
}
inline void write_clipped(Ints sum, uint8_t* to) {
  const auto words = _mm256_packs_epi32(_mm256_srai_epi32(sum.low, kTapBits), _mm256_srai_epi32(sum.high, kTapBits));
  const auto ordered = _mm256_permute4x64_epi64(words, 0xD8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}

#else
struct Ints {
  int32_t lane[kLanes];
};
inline Ints all(int32_t value) {
  Ints x;
  for (auto& lane : x.lane) lane = value;
  return x;
}
inline Ints multiply_add(const uint8_t* from, Ints weight, Ints sum) {
  for (int i = 0; i < kLanes; ++i) sum.lane[i] += from[i] * weight.lane[i];
  return sum;
}
inline void write_clipped(Ints sum, uint8_t* to) {
  for (int i = 0; i < kLanes; ++i) to[i] = clipped(sum.lane[i]);
}
#endif

// to[j · to_stride + i] = from[i · from_stride + j], i and j < 16.
#ifdef __SSE2__
inline void turn(const uint8_t* from, int64_t from_stride, uint8_t* to, int64_t to_stride) {
  __m128i a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * from_stride));
  // Each step interleaves what lies 8 apart; after four of them row and column have changed places.
  const auto step = [](const __m128i* x, __m128i* y) {
    for (int i = 0; i < 8; ++i)
      y[2 * i] = _mm_unpacklo_epi8(x[i], x[i + 8]), y[2 * i + 1] = _mm_unpackhi_epi8(x[i], x[i + 8]);
  };
  step(a, b), step(b, a), step(a, b), step(b, a);
  for (int i = 0; i < 16; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_stride), a[i]);
}
#else
inline void turn(const uint8_t* from, int64_t from_stride, uint8_t* to, int64_t to_stride) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 16; ++j) to[j * to_stride + i] = from[i * from_stride + j];
}
#endif

}  // namespace
}  // namespace antiphon::kernels::ANTIPHON_ISA
