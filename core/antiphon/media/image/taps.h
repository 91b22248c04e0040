// Which input positions each position of a resized edge is computed from, with Pillow's weights.
#pragma once
#include <cstdint>
#include <vector>

#include <antiphon/kernels/resample.h>
#include <antiphon/media/image/resize.h>

namespace antiphon::media {

class TapTable {
 public:
  // For an edge of `input` pixels that becomes `output` long, the positions [begin, begin + count).
  TapTable(int64_t input, int64_t output, Filter filter, int64_t begin, int64_t count);

  // Input positions that are read: [first(), end()).
  int64_t first() const { return first_.front(); }
  int64_t end() const { return first_.back() + count_.back(); }
  int64_t outputs() const { return static_cast<int64_t>(first_.size()); }
  // For an image that begins `skipped` positions later. Valid until the next call.
  kernels::Taps taps(int64_t skipped = 0);

 private:
  std::vector<int32_t> first_, count_, weights_, shifted_;
  int64_t stride_ = 0;
};

}  // namespace antiphon::media
