#include <antiphon/media/image/webp.h>

#include <antiphon/media/byte_reader.h>
#include <antiphon/media/image/image_header.h>
#include <antiphon/media/image/orientation.h>

namespace antiphon::media {
namespace {

// Calls visit(name, content) for each chunk from `at` on; stops when it returns false. The last may be cut short.
template <class Visit>
void each_chunk(std::string_view bytes, size_t at, Visit&& visit) {
  while (at + 8 <= bytes.size()) {
    const size_t length = little_endian(bytes, at + 4, 4);
    if (!visit(bytes.substr(at, 4), bytes.substr(at + 8, length))) return;
    at += 8 + length + (length & 1);
  }
}

int64_t field(std::string_view bytes, size_t at, size_t count) {
  return static_cast<int64_t>(little_endian(bytes, at, count));
}

std::string chunk(std::string_view name, std::string_view content) {
  std::string out(name);
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(content.size() >> shift & 255);
  out += content;
  if (content.size() % 2) out += '\0';
  return out;
}

// A frame's chunks (ALPH, VP8, VP8L) with the header that an image with alpha needs before them.
std::string still_file(std::string_view chunks, std::string_view size) {
  std::string extended("\x10\0\0\0", 4);
  extended += size;
  const std::string content = chunks.starts_with("ALPH") ? chunk("VP8X", extended) : std::string();
  return chunk("RIFF", "WEBP" + content + std::string(chunks));
}

}  // namespace

ImageHeader read_webp_header(std::string_view bytes) {
  ImageHeader header{ImageFormat::webp, 0, 0, 1};
  PictureNotes notes;
  bool canvas = false;
  each_chunk(bytes, 12, [&](std::string_view name, std::string_view content) {
    if (name == "VP8X") {
      canvas = true;
      header.width = field(content, 4, 3) + 1, header.height = field(content, 7, 3) + 1;
    } else if (name == "VP8 " && !canvas) {
      header.width = field(content, 6, 2) & 0x3FFF, header.height = field(content, 8, 2) & 0x3FFF;
    } else if (name == "VP8L" && !canvas) {
      const int64_t packed = field(content, 1, 4);
      header.width = (packed & 0x3FFF) + 1, header.height = (packed >> 14 & 0x3FFF) + 1;
    } else if (name == "EXIF" && notes.exif.empty()) {
      notes.exif = content;
    } else if (name == "XMP " && notes.xmp.empty()) {
      notes.xmp = content;
    }
    return true;
  });
  if (header.width == 0) fail(ErrorKind::data, "the WebP holds no picture");
  header.orientation = orientation_of(notes);
  return header;
}

std::optional<WebpFrame> first_webp_frame(std::string_view bytes) {
  std::optional<WebpFrame> frame;
  bool animated = false;
  each_chunk(bytes, 12, [&](std::string_view name, std::string_view content) {
    animated |= name == "ANIM";
    if (name != "ANMF") return true;
    constexpr size_t fields = 16;
    frame.emplace(WebpFrame{{}, 2 * field(content, 0, 3), 2 * field(content, 3, 3)});
    if (content.size() < fields) fail(ErrorKind::data, "the WebP is cut short");
    frame->file = still_file(content.substr(fields), content.substr(6, 6));
    return false;
  });
  if (animated && !frame) fail(ErrorKind::data, "the WebP is an animation without a frame");
  return frame;
}

}  // namespace antiphon::media
