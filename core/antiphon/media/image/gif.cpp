#include <antiphon/media/image/gif.h>

#include <algorithm>
#include <array>

#include <antiphon/media/byte_reader.h>

namespace antiphon::media {
namespace {

using Colour = std::array<uint8_t, 3>;
using Palette = std::array<Colour, 256>;

Palette greys() {
  Palette palette;
  for (size_t i = 0; i < palette.size(); ++i) palette[i].fill(static_cast<uint8_t>(i));
  return palette;
}

int64_t field(std::string_view bytes, size_t at) { return static_cast<int64_t>(little_endian(bytes, at, 2)); }

[[noreturn]] void fail_short() { fail(ErrorKind::data, "the GIF is damaged or cut short"); }

// The first frame's place, colours and codes.
struct GifFrame {
  int64_t x = 0, y = 0, width = 0, height = 0;
  bool interlaced = false;
  Palette palette = greys();
  std::optional<uint8_t> transparent;
  int code_size = 0;
  size_t data = 0;  // where its blocks begin
};

class FrameReader {
 public:
  explicit FrameReader(std::string_view bytes) : bytes_(bytes) {}

  GifFrame read() {
    const uint64_t flags = big_endian(bytes_, 10, 1);
    at_ = 13;
    if (flags & 0x80) read_palette(flags);
    for (;;) {
      const uint64_t kind = big_endian(bytes_, at_++, 1);
      if (kind == ',') return read_place(), frame_;
      if (kind == ';') fail(ErrorKind::data, "the GIF holds no picture");
      if (kind == '!') read_extension();
    }
  }

 private:
  void read_palette(uint64_t flags) {
    for (size_t i = 0; i < size_t{2} << (flags & 7); ++i)
      for (auto& value : frame_.palette[i]) value = static_cast<uint8_t>(big_endian(bytes_, at_++, 1));
  }

  void read_extension() {
    const bool control = big_endian(bytes_, at_++, 1) == 0xF9;
    for (bool first = true;; first = false) {
      const size_t length = big_endian(bytes_, at_++, 1);
      if (length == 0) return;
      if (control && first && length >= 4 && big_endian(bytes_, at_, 1) & 1)
        frame_.transparent = static_cast<uint8_t>(big_endian(bytes_, at_ + 3, 1));
      at_ += length;
    }
  }

  void read_place() {
    frame_.x = field(bytes_, at_), frame_.y = field(bytes_, at_ + 2);
    frame_.width = field(bytes_, at_ + 4), frame_.height = field(bytes_, at_ + 6);
    const uint64_t flags = big_endian(bytes_, at_ + 8, 1);
    frame_.interlaced = (flags & 0x40) != 0;
    at_ += 9;
    if (flags & 0x80) frame_.palette = greys(), read_palette(flags);
    frame_.code_size = static_cast<int>(big_endian(bytes_, at_, 1));
    frame_.data = at_ + 1;
    if (frame_.code_size < 1 || frame_.code_size > 8) fail_short();
  }

  std::string_view bytes_;
  size_t at_ = 0;
  GifFrame frame_;
};

// The codes of the blocks from `at` on, of growing width.
class Codes {
 public:
  Codes(std::string_view bytes, size_t at) : bytes_(bytes), at_(at) {}

  int next(int width) {
    while (count_ < width) {
      if (left_ == 0 && (left_ = big_endian(bytes_, at_++, 1)) == 0) fail_short();
      bits_ |= static_cast<uint32_t>(big_endian(bytes_, at_++, 1)) << count_;
      count_ += 8, --left_;
    }
    const int code = static_cast<int>(bits_ & ((1U << width) - 1));
    bits_ >>= width, count_ -= width;
    return code;
  }

 private:
  std::string_view bytes_;
  size_t at_, left_ = 0;
  uint32_t bits_ = 0;
  int count_ = 0;
};

// LZW: each code is a colour, or what an earlier code stands for plus one colour.
std::vector<uint8_t> unpacked(std::string_view bytes, const GifFrame& frame) {
  constexpr int most = 4096;
  const int clear = 1 << frame.code_size, end = clear + 1;
  std::array<int16_t, most> prefix;
  std::array<uint8_t, most> suffix;
  std::vector<uint8_t> out(static_cast<size_t>(frame.width * frame.height)), pending;
  Codes codes(bytes, frame.data);
  int next = clear + 2, width = frame.code_size + 1, last = -1;
  uint8_t first = 0;
  for (size_t done = 0; done < out.size();) {
    const int code = codes.next(width);
    if (code == clear) {
      next = clear + 2, width = frame.code_size + 1, last = -1;
      continue;
    }
    if (code == end || code > next || (code == next && last < 0)) fail_short();
    int at = code == next ? last : code;
    pending.clear();
    if (code == next) pending.push_back(first);
    for (; at >= clear; at = prefix[static_cast<size_t>(at)]) pending.push_back(suffix[static_cast<size_t>(at)]);
    first = static_cast<uint8_t>(at);
    pending.push_back(first);
    for (size_t i = pending.size(); i-- > 0 && done < out.size();) out[done++] = pending[i];
    if (last >= 0 && next < most) {
      prefix[static_cast<size_t>(next)] = static_cast<int16_t>(last), suffix[static_cast<size_t>(next)] = first;
      if (++next == 1 << width && width < 12) ++width;
    }
    last = code;
  }
  return out;
}

// The rows of an interlaced frame in the order of the file.
std::vector<int64_t> rows_of(const GifFrame& frame) {
  std::vector<int64_t> rows;
  const auto pass = [&](int64_t from, int64_t step) {
    for (int64_t y = from; y < frame.height; y += step) rows.push_back(y);
  };
  if (frame.interlaced)
    pass(0, 8), pass(4, 8), pass(2, 4), pass(1, 2);
  else
    pass(0, 1);
  return rows;
}

}  // namespace

Image decode_gif(std::string_view bytes, bool transparent_is_white, const MediaLimits& limits) {
  GifFrame frame = FrameReader(bytes).read();
  const int64_t height = std::max(field(bytes, 8), frame.y + frame.height),
                width = std::max(field(bytes, 6), frame.x + frame.width);
  check_picture_size(width, height, limits);
  const std::vector<uint8_t> indices = unpacked(bytes, frame);
  if (frame.transparent && transparent_is_white) frame.palette[*frame.transparent].fill(255);
  Image image{height, width, std::vector<uint8_t>(static_cast<size_t>(width * height * 3))};
  const auto put = [&](int64_t y, int64_t x, uint8_t index) {
    std::ranges::copy(frame.palette[index], image.rgb.data() + (y * width + x) * 3);
  };
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) put(y, x, frame.transparent.value_or(0));
  const uint8_t* index = indices.data();
  for (const int64_t y : rows_of(frame))
    for (int64_t x = 0; x < frame.width; ++x) put(frame.y + y, frame.x + x, *index++);
  return image;
}

}  // namespace antiphon::media
