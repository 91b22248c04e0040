#include <antiphon/media/image/image_header.h>

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

// Common formats that are not supported, and why.
struct Unread {
  size_t at;
  std::string_view mark, name, why;
};
constexpr std::string_view kInexact = "its decoders do not agree on the pixels", kRare = "no decoder is at hand";
constexpr Unread kUnread[] = {
    {4, "ftypavif", "AVIF", kInexact},
    {4, "ftypavis", "AVIF", kInexact},
    {4, "ftypheic", "HEIC", kRare},
    {4, "ftypheix", "HEIC", kRare},
    {4, "ftypmif1", "HEIF", kRare},
    {4, "ftyphevc", "HEIC", kRare},
    {4, "JXL ", "JPEG XL", kRare},
    {0, "\xFF\x0A", "JPEG XL", kRare},
    {4, "jP  ", "JPEG 2000", kRare},
    {0, "8BPS", "Photoshop", kRare},
    {0, "%PDF", "PDF", "it is a document"},
    {0, "<svg", "SVG", "it is a drawing"},
    {0, "<?xml", "XML", "it is a text or drawing"},
};

[[noreturn]] void refuse(std::string_view bytes) {
  for (const auto& kind : kUnread)
    if (bytes.size() > kind.at && bytes.substr(kind.at).starts_with(kind.mark))
      fail(ErrorKind::data, fmt::format("pictures of the kind {} are not read: {}", kind.name, kind.why),
           "save it as PNG, or as JPEG of high quality");
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
