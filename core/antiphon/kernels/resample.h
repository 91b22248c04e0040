// Kernels that resize 8-bit images in integers, and that turn rows of YCbCr into RGB. Plain pointers only, as rows.h.
#pragma once
#include <cstdint>

namespace antiphon::kernels {

constexpr int kTapBits = 22;        // fraction of a weight: 8 bits of value and 2 of overshoot are left of 32
constexpr int64_t kStripRows = 16;  // rows that `across` takes at once

// For each of `outputs` positions the first input position, how many there are, and `stride` weights.
struct Taps {
  const int32_t* first = nullptr;
  const int32_t* count = nullptr;
  const int32_t* weights = nullptr;
  int64_t stride = 0, outputs = 0;
};

// Bytes of scratch for `across`: of `inputs` columns that the taps reach, all channels.
constexpr int64_t scratch_for_across(int64_t inputs, int64_t outputs, int64_t channels) {
  return (inputs + outputs) * channels * kStripRows;
}

// Rows of pixels of `channels` bytes, `in_stride` and `out_stride` bytes apart:
// out[y, i, c] = clip((½ + Σ_k in[y, first[i] + k, c] · weights[i, k]) / 2^kTapBits) for 1 to kStripRows rows.
struct Across {
  const uint8_t* in = nullptr;
  int64_t in_stride = 0, rows = 0, channels = 0;
  Taps taps;
  uint8_t* out = nullptr;
  int64_t out_stride = 0;
  uint8_t* scratch = nullptr;
};

// The same down the columns: out[i, x] from in[first[i] + k, x], x < length bytes.
struct Down {
  const uint8_t* in = nullptr;
  int64_t in_stride = 0, length = 0;
  Taps taps;
  uint8_t* out = nullptr;
  int64_t out_stride = 0;
};

// A row of 4:2:0 images in the arithmetic of libswscale (SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT). Chroma lies midway
// between two pixels and is taken from two of its rows, 3/4 from the nearer column and 1/4 from the farther. With U = Σ
// of both rows of (3 u[x / 2] + u[the other side of x]) - 1024 and V likewise:
//   red = clip30(((8 y · luma + V · v_red) << 6) + offset) >> 22, green and blue likewise; 13 fractional bits.
struct ColourMatrix {
  int16_t luma = 0, v_red = 0, v_green = 0, u_green = 0, u_blue = 0;
  int32_t offset = 0;
};

constexpr int64_t kLeastYuvWidth = 16;

struct YuvRow {
  const uint8_t* y = nullptr;            // width, which is even and at least kLeastYuvWidth
  const uint8_t *u[2] = {}, *v[2] = {};  // width / 2 each
  int64_t width = 0;
  ColourMatrix matrix;
  uint8_t* rgb = nullptr;
  int16_t* scratch = nullptr;  // width + 4
};

struct ResampleKernels {
  void (*across)(const Across&);
  void (*down)(const Down&);
  void (*yuv_to_rgb)(const YuvRow&);
};

const ResampleKernels& resample_kernels();

}  // namespace antiphon::kernels
