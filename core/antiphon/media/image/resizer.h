// Resizing of many images of one size, or of a window of them: Pillow's filters, prepared once.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <antiphon/media/image/resize.h>
#include <antiphon/media/image/taps.h>

namespace antiphon::media {

// A part of an image.
struct Window {
  int64_t top = 0, left = 0;
  Size size;
};

struct PixelRows {
  const uint8_t* rgb = nullptr;
  int64_t stride = 0;  // bytes from one row to the next
};

class Resizer {
 public:
  // Rows of an image, from `first` on; readable until the next call.
  using Rows = std::function<PixelRows(int64_t first, int64_t count)>;

  // From images of size `from` to the `window` of them at size `to`; without a window, all of it. Any filter but
  // nearest. The sizes are positive, and the window lies within `to`.
  Resizer(Size from, Size to, Filter filter);
  Resizer(Size from, Size to, Filter filter, Window window);

  Image resize(const Image& image);
  // Asks for the rows that are needed, each once, in the order of the image.
  Image resize(const Rows& rows);

 private:
  void rows_first(const Rows& rows, uint8_t* out);
  void columns_first(const Rows& rows, uint8_t* out);
  void across(PixelRows in, int64_t count, kernels::Taps taps, uint8_t* out);

  Size from_, to_;
  Window window_;
  std::optional<TapTable> across_, down_;  // not set if the edge keeps its length
  std::vector<uint8_t> scratch_, between_;
};

}  // namespace antiphon::media
