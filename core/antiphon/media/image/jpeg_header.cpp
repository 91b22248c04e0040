#include <fmt/format.h>

#include <antiphon/media/byte_reader.h>
#include <antiphon/media/image/image_header.h>
#include <antiphon/media/image/orientation.h>

namespace antiphon::media {
namespace {

bool is_frame_marker(uint64_t code) {
  return code >= 0xC0 && code <= 0xCF && code != 0xC4 && code != 0xC8 && code != 0xCC;
}

// EXIF may be spread over several segments; for XMP, the last one counts.
void note(std::string_view segment, PictureNotes& notes) {
  constexpr std::string_view exif("Exif\0\0", 6), xmp("http://ns.adobe.com/xap/1.0/\0", 29);
  if (segment.starts_with(exif)) notes.exif += segment.substr(exif.size());
  if (segment.starts_with(xmp)) notes.xmp = segment.substr(xmp.size());
}

}  // namespace

ImageHeader read_jpeg_header(std::string_view bytes) {
  ImageHeader header{ImageFormat::jpeg, 0, 0, 1};
  PictureNotes notes;
  for (size_t at = 2;;) {
    if (big_endian(bytes, at, 1) != 0xFF)
      fail(ErrorKind::data, fmt::format("the JPEG is damaged: no marker at byte {}", at));
    const uint64_t code = big_endian(bytes, at + 1, 1);
    if (code == 0xFF) {  // padding
      ++at;
      continue;
    }
    if (code == 0xD9 || code == 0xDA) break;
    const bool bare = code == 0x01 || (code >= 0xD0 && code <= 0xD8);
    const size_t length = bare ? 0 : big_endian(bytes, at + 2, 2);
    if (!bare && length < 2)
      fail(ErrorKind::data, fmt::format("the JPEG is damaged: a segment of {} bytes at byte {}", length, at));
    if (is_frame_marker(code)) {
      header.height = static_cast<int64_t>(big_endian(bytes, at + 5, 2));
      header.width = static_cast<int64_t>(big_endian(bytes, at + 7, 2));
    }
    if (code == 0xE1) note(bytes.substr(std::min(at + 4, bytes.size()), length - 2), notes);
    at += 2 + length;
  }
  if (header.width == 0) fail(ErrorKind::data, "the JPEG holds no picture");
  header.orientation = orientation_of(notes);
  return header;
}

int64_t count_jpeg_markers(std::string_view bytes, uint8_t code) {
  const char marker[] = {'\xFF', static_cast<char>(code)};
  int64_t count = 0;
  for (size_t at = 0; (at = bytes.find(std::string_view(marker, 2), at)) != std::string_view::npos; at += 2) ++count;
  return count;
}

}  // namespace antiphon::media
