#include <antiphon/media/image_header.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

namespace antiphon::media {
namespace {

constexpr std::string_view kPngMark("\x89PNG\r\n\x1a\n", 8);

// A number of `count` bytes at `at`; running past the end is the one error of this file.
uint64_t number(std::string_view bytes, size_t at, size_t count, bool little) {
  if (at > bytes.size() || bytes.size() - at < count) fail(ErrorKind::data, "the picture ends within its header");
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i)
    value = value << 8 | static_cast<uint8_t>(bytes[at + (little ? count - 1 - i : i)]);
  return value;
}
uint64_t big(std::string_view bytes, size_t at, size_t count) { return number(bytes, at, count, false); }
uint64_t small(std::string_view bytes, size_t at, size_t count) { return number(bytes, at, count, true); }

// Tag 0x0112 of the first directory of a TIFF structure; 1 where it is not there or makes no sense.
int orientation_of(std::string_view tiff) {
  if (tiff.size() < 8) return 1;
  const bool little = tiff.starts_with("II");
  const size_t directory = number(tiff, 4, 4, little);
  if (directory > tiff.size() - 2) return 1;
  const size_t entries = number(tiff, directory, 2, little);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * 12;
    if (entry + 12 > tiff.size()) return 1;
    if (number(tiff, entry, 2, little) != 0x0112) continue;
    const auto value = static_cast<int>(number(tiff, entry + 8, 2, little));
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

// Calls visit(name, content, whole chunk) for each complete chunk; stops where it returns false.
template <class Visit>
void each_png_chunk(std::string_view bytes, Visit&& visit) {
  for (size_t at = kPngMark.size(); bytes.size() - at >= 12;) {
    const size_t length = big(bytes, at, 4);
    if (length > bytes.size() - at - 12) return;
    if (!visit(bytes.substr(at + 4, 4), bytes.substr(at + 8, length), bytes.substr(at, length + 12))) return;
    at += length + 12;
  }
}

ImageHeader png_header(std::string_view bytes) {
  if (big(bytes, 12, 4) != 0x49484452)  // "IHDR"
    fail(ErrorKind::data, "the PNG does not begin with its header");
  ImageHeader header{ImageFormat::png, static_cast<int64_t>(big(bytes, 16, 4)), static_cast<int64_t>(big(bytes, 20, 4)),
                     1};
  each_png_chunk(bytes, [&](std::string_view name, std::string_view content, std::string_view) {
    if (name == "eXIf") header.orientation = orientation_of(content);
    return true;
  });
  return header;
}

bool is_frame_marker(uint64_t code) {
  return code >= 0xC0 && code <= 0xCF && code != 0xC4 && code != 0xC8 && code != 0xCC;
}

ImageHeader jpeg_header(std::string_view bytes) {
  ImageHeader header{ImageFormat::jpeg, 0, 0, 1};
  for (size_t at = 2;;) {
    if (big(bytes, at, 1) != 0xFF) fail(ErrorKind::data, fmt::format("the JPEG is damaged: no marker at byte {}", at));
    const uint64_t code = big(bytes, at + 1, 1);
    if (code == 0xFF) {  // padding
      ++at;
      continue;
    }
    if (code == 0xD9 || code == 0xDA) fail(ErrorKind::data, "the JPEG holds no picture");
    const bool bare = code == 0x01 || (code >= 0xD0 && code <= 0xD8);
    const size_t length = bare ? 0 : big(bytes, at + 2, 2);
    if (!bare && length < 2)
      fail(ErrorKind::data, fmt::format("the JPEG is damaged: a segment of {} bytes at byte {}", length, at));
    if (is_frame_marker(code)) {
      header.height = static_cast<int64_t>(big(bytes, at + 5, 2));
      header.width = static_cast<int64_t>(big(bytes, at + 7, 2));
      return header;
    }
    const std::string_view content = bytes.substr(std::min(at + 4, bytes.size()), length > 2 ? length - 2 : 0);
    if (code == 0xE1 && content.starts_with(std::string_view("Exif\0\0", 6)))
      header.orientation = orientation_of(content.substr(6));
    at += 2 + length;
  }
}

ImageHeader webp_header(std::string_view bytes) {
  ImageHeader header{ImageFormat::webp, 0, 0, 1};
  bool canvas = false;
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const std::string_view name = bytes.substr(at, 4);
    const size_t length = small(bytes, at + 4, 4), content = at + 8;
    if (name == "VP8X") {
      canvas = true;
      header.width = static_cast<int64_t>(small(bytes, content + 4, 3)) + 1;
      header.height = static_cast<int64_t>(small(bytes, content + 7, 3)) + 1;
    } else if (name == "ANIM") {
      fail(ErrorKind::data, "the WebP is an animation, which is not accepted",
           "save one frame of it as a still picture");
    } else if (name == "VP8 " && !canvas) {
      header.width = static_cast<int64_t>(small(bytes, content + 6, 2) & 0x3FFF);
      header.height = static_cast<int64_t>(small(bytes, content + 8, 2) & 0x3FFF);
    } else if (name == "VP8L" && !canvas) {
      const uint64_t packed = small(bytes, content + 1, 4);
      header.width = static_cast<int64_t>(packed & 0x3FFF) + 1;
      header.height = static_cast<int64_t>(packed >> 14 & 0x3FFF) + 1;
    } else if (name == "EXIF" && content <= bytes.size()) {
      std::string_view exif = bytes.substr(content, length);
      if (exif.starts_with(std::string_view("Exif\0\0", 6))) exif.remove_prefix(6);
      header.orientation = orientation_of(exif);
    }
    at = content + length + (length & 1);
  }
  if (header.width == 0) fail(ErrorKind::data, "the WebP holds no picture");
  return header;
}

ImageHeader gif_header(std::string_view bytes) {
  return {ImageFormat::gif, static_cast<int64_t>(small(bytes, 6, 2)), static_cast<int64_t>(small(bytes, 8, 2)), 1};
}

}  // namespace

std::string_view to_string(ImageFormat format) {
  constexpr std::string_view names[] = {"PNG", "JPEG", "WebP", "GIF"};
  return names[static_cast<int>(format)];
}

ImageHeader read_image_header(std::string_view bytes) {
  if (bytes.empty()) fail(ErrorKind::data, "not a picture: the file is empty");
  if (bytes.starts_with(kPngMark)) return png_header(bytes);
  if (bytes.starts_with("\xFF\xD8\xFF")) return jpeg_header(bytes);
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") return webp_header(bytes);
  if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return gif_header(bytes);
  fail(ErrorKind::data, "not a picture: unknown format", "PNG, JPEG, WebP and GIF are read");
}

std::string png_pixel_chunks(std::string_view bytes) {
  std::string out(kPngMark);
  bool complete = false;
  each_png_chunk(bytes, [&](std::string_view name, std::string_view, std::string_view chunk) {
    if (name == "IHDR" || name == "PLTE" || name == "tRNS" || name == "IDAT" || name == "IEND") out += chunk;
    complete = name == "IEND";
    return !complete;
  });
  if (!complete) fail(ErrorKind::data, "the PNG is cut short");
  return out;
}

int64_t count_jpeg_markers(std::string_view bytes, uint8_t code) {
  const char marker[] = {'\xFF', static_cast<char>(code)};
  int64_t count = 0;
  for (size_t at = 0; (at = bytes.find(std::string_view(marker, 2), at)) != std::string_view::npos; at += 2) ++count;
  return count;
}

}  // namespace antiphon::media
