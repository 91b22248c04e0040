// Which values dropout drops: a hash of a key and of a value's place, so that there is no state (base/mixed.h).
#pragma once
#include <antiphon/base/mixed.h>

#include <cstdint>

namespace antiphon::kernels {

struct DropoutMask {
  double p = 0;  // that a value is dropped; below 1
  uint64_t key = 0;
  int64_t first = 0;    // the place of the first value of the first row
  int64_t columns = 0;  // from the place of a row's first value to that of the next row's

  static constexpr int kBits = 24;  // of a hash, as a number in [0, 2^24)
  int64_t threshold() const { return static_cast<int64_t>(p * (1 << kBits)); }
  float factor() const { return static_cast<float>(1 / (1 - p)); }
  static bool kept(uint64_t key, int64_t place, int64_t threshold) {
    return static_cast<int64_t>(mixed(key, static_cast<uint64_t>(place)) >> (64 - kBits)) >= threshold;
  }
};

}  // namespace antiphon::kernels
