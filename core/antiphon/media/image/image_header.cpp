#include <antiphon/media/image/image_header.h>

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include <antiphon/media/byte_reader.h>
#include <antiphon/media/image/png.h>

namespace antiphon::media {
namespace {

ImageHeader gif_header(std::string_view bytes) {
  return {ImageFormat::gif, static_cast<int64_t>(little_endian(bytes, 6, 2)),
          static_cast<int64_t>(little_endian(bytes, 8, 2)), 1};
}

// A negative height means that the first row is the top one.
ImageHeader bmp_header(std::string_view bytes) {
  const bool old = little_endian(bytes, 14, 4) == 12;
  const auto signed_at = [&](size_t at) {
    return static_cast<int64_t>(static_cast<int32_t>(little_endian(bytes, at, 4)));
  };
  if (old)
    return {ImageFormat::bmp, static_cast<int64_t>(little_endian(bytes, 18, 2)),
            static_cast<int64_t>(little_endian(bytes, 20, 2)), 1};
  return {ImageFormat::bmp, signed_at(18), std::abs(signed_at(22)), 1};
}

// Formats that are not supported, and why.
struct Unread {
  size_t at;
  std::string_view mark, name, why;
};
constexpr std::string_view kInexact = "its decoders do not agree on the pixels", kNone = "no decoder is at hand",
                           kRare = "it is rare, and each decoder is one more to trust";
constexpr Unread kUnread[] = {
    {4, "ftypavi", "AVIF", kInexact},
    {4, "ftyphei", "HEIC", kNone},
    {4, "ftyphev", "HEIC", kNone},
    {4, "ftypmif", "HEIF", kNone},
    {4, "ftypmsf1", "HEIF", kNone},
    {4, "JXL ", "JPEG XL", kNone},
    {0, "\xFF\x0A", "JPEG XL", kNone},
    {4, "jP  ", "JPEG 2000", kNone},
    {0, std::string_view("II+\0", 4), "BigTIFF", kNone},
    {0, std::string_view("MM\0+", 4), "BigTIFF", kNone},
    {0, std::string_view("\0\0\1\0", 4), "ICO", kRare},
    {0, "qoif", "QOI", kRare},
    {0, "8BPS", "Photoshop", kNone},
    {0, "%PDF", "PDF", "it is a document"},
    {0, "<svg", "SVG", "it is a drawing"},
    {0, "<?xml", "XML", "it is a text or drawing"},
};

// P1 to P7 and white space.
bool is_netpbm(std::string_view bytes) {
  return bytes.size() > 2 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' &&
         std::string_view(" \t\r\n").find(bytes[2]) != std::string_view::npos;
}

// Its version, and that it is packed, each in a byte.
bool is_pcx(std::string_view bytes) {
  return bytes.size() > 128 && bytes[0] == 10 && bytes[1] >= 0 && bytes[1] <= 5 && bytes[2] == 1;
}

// TGA has no signature. Its header has a kind of picture, a palette if that needs one, a size, and a depth that exists.
bool is_tga(std::string_view bytes) {
  if (bytes.size() < 18) return false;
  const uint64_t palette = little_endian(bytes, 1, 1), kind = little_endian(bytes, 2, 1) & ~8U,  // 8: packed
      bits = little_endian(bytes, 16, 1);
  const bool has_size = little_endian(bytes, 12, 2) > 0 && little_endian(bytes, 14, 2) > 0;
  constexpr uint64_t depths[] = {1, 8, 15, 16, 24, 32};
  return has_size && (kind == 1 ? palette == 1 : palette == 0 && (kind == 2 || kind == 3)) &&
         std::ranges::find(depths, bits) != std::end(depths);
}

// Of formats whose first bytes vary.
struct UnreadKind {
  bool (*is)(std::string_view);
  std::string_view name, why;
};
constexpr UnreadKind kUnreadKinds[] = {
    {is_netpbm, "PPM, PGM or PBM", kInexact}, {is_pcx, "PCX", kRare}, {is_tga, "TGA", kRare}};

[[noreturn]] void refuse_kind(std::string_view name, std::string_view why) {
  fail(ErrorKind::data, fmt::format("pictures of the kind {} are not read: {}", name, why),
       "convert it, say with ImageMagick: magick 'FILE[0]' picture.png");
}

[[noreturn]] void refuse(std::string_view bytes) {
  for (const auto& kind : kUnread)
    if (bytes.size() > kind.at && bytes.substr(kind.at).starts_with(kind.mark)) refuse_kind(kind.name, kind.why);
  for (const auto& kind : kUnreadKinds)
    if (kind.is(bytes)) refuse_kind(kind.name, kind.why);
  fail(ErrorKind::data, "not a picture: unknown format", "PNG, JPEG, WebP, GIF, BMP and TIFF are read");
}

}  // namespace

std::string_view to_string(ImageFormat format) {
  constexpr std::string_view names[] = {"PNG", "JPEG", "WebP", "GIF", "BMP", "TIFF"};
  return names[static_cast<int>(format)];
}

ImageHeader read_image_header(std::string_view bytes) {
  if (bytes.empty()) fail(ErrorKind::data, "not a picture: the file is empty");
  if (bytes.starts_with(kPngMark)) return read_png_header(bytes);
  if (bytes.starts_with("\xFF\xD8\xFF")) return read_jpeg_header(bytes);
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") return read_webp_header(bytes);
  if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return gif_header(bytes);
  if (bytes.starts_with("BM") && bytes.size() >= 26) return bmp_header(bytes);
  if (bytes.starts_with(std::string_view("II*\0", 4)) || bytes.starts_with(std::string_view("MM\0*", 4)))
    return read_tiff_header(bytes);
  refuse(bytes);
}

}  // namespace antiphon::media
