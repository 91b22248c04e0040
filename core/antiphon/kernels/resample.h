// Kernels that resize 8-bit pictures in integers, and that turn rows of YCbCr into RGB. Plain pointers only, as rows.h.
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

struct ResampleKernels {
  void (*across)(const Across&);
  void (*down)(const Down&);
};

const ResampleKernels& resample_kernels();

}  // namespace antiphon::kernels
