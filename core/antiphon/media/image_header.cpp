#include <antiphon/media/image_header.h>

#include <antiphon/media/byte_reader.h>
#include <antiphon/media/png.h>

namespace antiphon::media {
namespace {

ImageHeader gif_header(std::string_view bytes) {
  return {ImageFormat::gif, static_cast<int64_t>(little_endian(bytes, 6, 2)),
          static_cast<int64_t>(little_endian(bytes, 8, 2)), 1};
}

}  // namespace

std::string_view to_string(ImageFormat format) {
  constexpr std::string_view names[] = {"PNG", "JPEG", "WebP", "GIF"};
  return names[static_cast<int>(format)];
}

ImageHeader read_image_header(std::string_view bytes) {
  if (bytes.empty()) fail(ErrorKind::data, "not a picture: the file is empty");
  if (bytes.starts_with(kPngMark)) return read_png_header(bytes);
  if (bytes.starts_with("\xFF\xD8\xFF")) return read_jpeg_header(bytes);
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") return read_webp_header(bytes);
  if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return gif_header(bytes);
  fail(ErrorKind::data, "not a picture: unknown format", "PNG, JPEG, WebP and GIF are read");
}

}  // namespace antiphon::media
