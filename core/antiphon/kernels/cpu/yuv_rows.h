// Rows of YCbCr to RGB, as YuvRow of resample.h says.
#pragma once
#include <antiphon/kernels/cpu/resample_lanes.h>

namespace antiphon::kernels::ANTIPHON_ISA {
namespace {

// The sum of two rows of chroma between copies of its ends, less a quarter of 1024: a pixel counts four of them.
inline void sum_of_rows(const uint8_t* const rows[2], int64_t count, int16_t* sums) {
  for (int64_t i = 0; i < count; ++i) sums[i + 1] = static_cast<int16_t>(rows[0][i] + rows[1][i] - 256);
  sums[0] = sums[1], sums[count + 1] = sums[count];
}

#ifdef __AVX2__
inline __m128i eight_words(const int16_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }

// Chroma of 16 pixels from that of 8 cells on.
inline __m256i of_pixels(const int16_t* sums) {
  const auto here = eight_words(sums + 1), three = _mm_add_epi16(here, _mm_add_epi16(here, here));
  const auto even = _mm_add_epi16(three, eight_words(sums)), odd = _mm_add_epi16(three, eight_words(sums + 2));
  return _mm256_set_m128i(_mm_unpackhi_epi16(even, odd), _mm_unpacklo_epi16(even, odd));
}

inline __m256i pair_of(int16_t low, int16_t high) {
  return _mm256_set1_epi32(
      static_cast<int32_t>(static_cast<uint16_t>(low) | static_cast<uint32_t>(static_cast<uint16_t>(high)) << 16));
}

struct Matrix {
  __m256i red, green, green_of_u, blue, offset;
};

inline __m256i channel_value(__m256i sum, __m256i offset) {
  return _mm256_srai_epi32(_mm256_add_epi32(_mm256_slli_epi32(sum, 6), offset), 22);
}

// The 16-bit values of a channel of 16 pixels, from the pairs (8 y, chroma) of its low and high halves.
inline __m256i channel(__m256i low, __m256i high, __m256i weights, __m256i offset) {
  return _mm256_packs_epi32(channel_value(_mm256_madd_epi16(low, weights), offset),
                            channel_value(_mm256_madd_epi16(high, weights), offset));
}

inline __m256i channel(__m256i low, __m256i high, __m256i weights, __m256i low2, __m256i high2, __m256i weights2,
                       __m256i offset) {
  const auto sum = [&](__m256i a, __m256i b) {
    return _mm256_add_epi32(_mm256_madd_epi16(a, weights), _mm256_madd_epi16(b, weights2));
  };
  return _mm256_packs_epi32(channel_value(sum(low, low2), offset), channel_value(sum(high, high2), offset));
}

// 48 bytes; each half of the registers holds 8 pixels.
inline void write_interleaved(__m256i red, __m256i green, __m256i blue, uint8_t* to) {
  const auto rg = _mm256_packus_epi16(red, green), bb = _mm256_packus_epi16(blue, blue);
  const auto both = [](int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l, int m, int n,
                       int o, int p) {
    return _mm256_broadcastsi128_si256(_mm_setr_epi8(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p));
  };
  const auto rg_head = both(0, 8, -1, 1, 9, -1, 2, 10, -1, 3, 11, -1, 4, 12, -1, 5);
  const auto b_head = both(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1);
  const auto rg_tail = both(13, -1, 6, 14, -1, 7, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const auto b_tail = both(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, -1, -1, -1, -1, -1, -1);
  const auto head = _mm256_or_si256(_mm256_shuffle_epi8(rg, rg_head), _mm256_shuffle_epi8(bb, b_head));
  const auto tail = _mm256_or_si256(_mm256_shuffle_epi8(rg, rg_tail), _mm256_shuffle_epi8(bb, b_tail));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(head));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 16), _mm256_castsi256_si128(tail));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 24), _mm256_extracti128_si256(head, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 40), _mm256_extracti128_si256(tail, 1));
}

inline void sixteen_pixels(const uint8_t* y, const int16_t* u, const int16_t* v, const Matrix& m, uint8_t* rgb) {
  const auto luma = _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(y))), 3);
  const auto us = of_pixels(u), vs = of_pixels(v);
  const auto yu_low = _mm256_unpacklo_epi16(luma, us), yu_high = _mm256_unpackhi_epi16(luma, us);
  const auto yv_low = _mm256_unpacklo_epi16(luma, vs), yv_high = _mm256_unpackhi_epi16(luma, vs);
  write_interleaved(channel(yv_low, yv_high, m.red, m.offset),
                    channel(yv_low, yv_high, m.green, yu_low, yu_high, m.green_of_u, m.offset),
                    channel(yu_low, yu_high, m.blue, m.offset), rgb);
}

void yuv_to_rgb(const YuvRow& row) {
  const ColourMatrix& c = row.matrix;
  const Matrix matrix{pair_of(c.luma, c.v_red), pair_of(c.luma, c.v_green), pair_of(0, c.u_green),
                      pair_of(c.luma, c.u_blue), _mm256_set1_epi32(c.offset)};
  const int64_t half = row.width / 2;
  int16_t *u = row.scratch, *v = u + half + 2;
  sum_of_rows(row.u, half, u), sum_of_rows(row.v, half, v);
  for (int64_t x = 0; x < row.width; x += 16) {
    const int64_t at = x + 16 <= row.width ? x : row.width - 16;
    sixteen_pixels(row.y + at, u + at / 2, v + at / 2, matrix, row.rgb + at * 3);
  }
}

#else
inline uint8_t channel(int32_t sum, int32_t offset) {
  const auto value = static_cast<int32_t>((static_cast<uint32_t>(sum) << 6) + static_cast<uint32_t>(offset)) >> 22;
  return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

void yuv_to_rgb(const YuvRow& row) {
  const ColourMatrix& c = row.matrix;
  const int64_t half = row.width / 2;
  int16_t *us = row.scratch, *vs = us + half + 2;
  sum_of_rows(row.u, half, us), sum_of_rows(row.v, half, vs);
  for (int64_t x = 0; x < row.width; ++x) {
    const int64_t near = x / 2 + 1, far = near + (x % 2 ? 1 : -1);
    const int32_t luma = 8 * row.y[x] * c.luma, u = 3 * us[near] + us[far], v = 3 * vs[near] + vs[far];
    row.rgb[3 * x] = channel(luma + v * c.v_red, c.offset);
    row.rgb[3 * x + 1] = channel(luma + v * c.v_green + u * c.u_green, c.offset);
    row.rgb[3 * x + 2] = channel(luma + u * c.u_blue, c.offset);
  }
}
#endif

}  // namespace
}  // namespace antiphon::kernels::ANTIPHON_ISA
