#include <antiphon/media/image/resizer.h>

#include <algorithm>
#include <cstring>

namespace antiphon::media {
namespace {

constexpr int64_t kChannels = 3;

bool whole(Size from, Size to, const Window& window) {
  return from == to && window.top == 0 && window.left == 0 && window.size == to;
}

// Pillow from 13 on (its pull request 9549): the columns first if the height shrinks by more than twice what the width
// does.
bool takes_columns_first(Size from, Size to) {
  const int64_t lost = from.height - to.height;
  return lost > 0 && from.width != to.width && lost > 2 * (from.width - to.width);
}

}  // namespace

Resizer::Resizer(Size from, Size to, Filter filter) : Resizer(from, to, filter, {0, 0, to}) {}

Resizer::Resizer(Size from, Size to, Filter filter, Window window) : from_(from), to_(to), window_(window) {
  if (from.width != to.width) across_.emplace(from.width, to.width, filter, window.left, window.size.width);
  if (from.height != to.height) down_.emplace(from.height, to.height, filter, window.top, window.size.height);
}

Image Resizer::resize(const Image& image) {
  if (whole(from_, to_, window_)) return image;
  return resize([&](int64_t first, int64_t) {
    return PixelRows{image.rgb.data() + first * image.width * kChannels, image.width * kChannels};
  });
}

Image Resizer::resize(const Rows& rows) {
  Image out{window_.size.height, window_.size.width, {}};
  out.rgb.resize(static_cast<size_t>(out.height * out.width * kChannels));
  takes_columns_first(from_, to_) ? columns_first(rows, out.rgb.data()) : rows_first(rows, out.rgb.data());
  return out;
}

// `count` rows at the window's width, one right beneath the other.
void Resizer::across(PixelRows in, int64_t count, kernels::Taps taps, uint8_t* out) {
  scratch_.resize(static_cast<size_t>(kernels::scratch_for_across(from_.width, taps.outputs, kChannels)));
  const int64_t length = taps.outputs * kChannels;
  for (int64_t y = 0; y < count; y += kernels::kStripRows)
    kernels::resample_kernels().across({in.rgb + y * in.stride, in.stride, std::min(kernels::kStripRows, count - y),
                                        kChannels, taps, out + y * length, length, scratch_.data()});
}

void Resizer::rows_first(const Rows& rows, uint8_t* out) {
  const int64_t length = window_.size.width * kChannels;
  const int64_t first = down_ ? down_->first() : window_.top;
  const int64_t end = down_ ? down_->end() : first + window_.size.height;
  if (down_) between_.resize(static_cast<size_t>((end - first) * length));
  uint8_t* to = down_ ? between_.data() : out;
  for (int64_t y = first; y < end; y += kernels::kStripRows, to += kernels::kStripRows * length) {
    const int64_t count = std::min(kernels::kStripRows, end - y);
    const PixelRows strip = rows(y, count);
    if (across_) {
      across(strip, count, across_->taps(), to);
    } else {
      for (int64_t i = 0; i < count; ++i)
        std::memcpy(to + i * length, strip.rgb + i * strip.stride + window_.left * kChannels,
                    static_cast<size_t>(length));
    }
  }
  if (down_) kernels::resample_kernels().down({between_.data(), length, length, down_->taps(first), out, length});
}

void Resizer::columns_first(const Rows& rows, uint8_t* out) {
  const int64_t left = across_->first(), length = (across_->end() - left) * kChannels;
  const PixelRows in = rows(down_->first(), down_->end() - down_->first());
  between_.resize(static_cast<size_t>(window_.size.height * length));
  kernels::resample_kernels().down(
      {in.rgb + left * kChannels, in.stride, length, down_->taps(down_->first()), between_.data(), length});
  across({between_.data(), length}, window_.size.height, across_->taps(left), out);
}

}  // namespace antiphon::media
