#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <antiphon/media/byte_reader.h>
#include <antiphon/media/image/image_header.h>
#include <antiphon/media/image/orientation.h>
#include <antiphon/media/image/tiff.h>

namespace antiphon::media {
namespace {

enum Tag : uint64_t {
  kWidth = 256,
  kHeight = 257,
  kBits = 258,
  kCompression = 259,
  kMeaning = 262,
  kPlanes = 284,
  kExtra = 338,
  kSampleFormat = 339,
  kXmp = 700
};

// Those whose pixels are the same in every decoder.
constexpr std::array<uint64_t, 5> kCompressions{1, 5, 8, 32773, 32946};  // none, LZW, deflate, PackBits, deflate
constexpr std::array<uint64_t, 4> kMeanings{0, 1, 2, 3};                 // gray from white, from black, RGB, palette

// Size, bits, compression, meaning, fill order, strips, samples, planes, predictor, colours, tiles.
constexpr std::array<uint64_t, 17> kPixelTags{256, 257, 258, 259, 262, 266, 273, 277, 278,
                                              279, 284, 317, 320, 322, 323, 324, 325};

template <class Values>
void check(const char* what, uint64_t value, const Values& accepted) {
  if (std::ranges::find(accepted, value) == accepted.end())
    fail(ErrorKind::data, fmt::format("the TIFF's {} is number {}, which is not read", what, value), "save it as PNG");
}

}  // namespace

ImageHeader read_tiff_header(std::string_view bytes) {
  const auto tag = [&](Tag name, uint64_t absent) { return tiff_tag(bytes, name).value_or(absent); };
  check("compression", tag(kCompression, 1), kCompressions);
  check("meaning of pixels", tag(kMeaning, 1), kMeanings);
  check("arrangement of planes", tag(kPlanes, 1), std::array<uint64_t, 1>{1});
  check("kind of extra channel", tag(kExtra, 0), std::array<uint64_t, 2>{0, 2});  // 1: premultiplied alpha
  check("format of samples", tag(kSampleFormat, 1), std::array<uint64_t, 1>{1});
  check("number of bits", tag(kBits, 1), std::array<uint64_t, 5>{1, 2, 4, 8, 16});
  return {ImageFormat::tiff, static_cast<int64_t>(tag(kWidth, 0)), static_cast<int64_t>(tag(kHeight, 0)),
          orientation_of({std::string(bytes), std::string(tiff_bytes(bytes, kXmp))})};
}

std::string plain_tiff(std::string_view bytes) {
  const bool little = bytes.starts_with("II");
  const size_t directory = number_at(bytes, 4, 4, little), count = number_at(bytes, directory, 2, little);
  std::string entries;
  for (size_t i = 0; i < count; ++i) {
    const size_t at = directory + 2 + i * 12;
    if (std::ranges::find(kPixelTags, number_at(bytes, at, 2, little)) != kPixelTags.end())
      entries += bytes.substr(std::min(at, bytes.size()), 12);
  }
  const size_t kept = entries.size() / 12;
  const char low = static_cast<char>(kept & 255), high = static_cast<char>(kept >> 8);
  std::string out(bytes);
  out.replace(directory, 2, {little ? low : high, little ? high : low});
  out.replace(directory + 2, entries.size(), entries);
  for (size_t i = 0; i < 4 && directory + 2 + entries.size() + i < out.size(); ++i)
    out[directory + 2 + entries.size() + i] = 0;
  return out;
}

}  // namespace antiphon::media
