#include <antiphon/media/image/png_file.h>

#include <zlib.h>

#include <antiphon/base/error.h>
#include <antiphon/media/image/png.h>

namespace antiphon::media {
namespace {

void append(std::string& out, uint64_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xFF);
}

void append_chunk(std::string& out, std::string_view name, std::string_view content) {
  append(out, content.size());
  const auto begin = out.size();
  out += name, out += content;
  append(out, crc32(0, reinterpret_cast<const Bytef*>(out.data() + begin), static_cast<uInt>(out.size() - begin)));
}

// Each row begins with the number of its filter: 0, none.
std::string rows_of(const Image& image) {
  const auto width = static_cast<size_t>(3 * image.width);
  std::string rows;
  rows.reserve(static_cast<size_t>(image.height) * (width + 1));
  for (int64_t y = 0; y < image.height; ++y) {
    rows += '\0';
    rows.append(reinterpret_cast<const char*>(image.rgb.data()) + static_cast<size_t>(y) * width, width);
  }
  return rows;
}

std::string stored(const std::string& rows) {
  auto length = compressBound(static_cast<uLong>(rows.size()));
  std::string out(length, '\0');
  const int status = compress2(reinterpret_cast<Bytef*>(out.data()), &length,
                               reinterpret_cast<const Bytef*>(rows.data()), static_cast<uLong>(rows.size()), 0);
  if (status != Z_OK) fail(ErrorKind::internal, "a picture could not be written as PNG");
  out.resize(length);
  return out;
}

}  // namespace

std::string png_file(const Image& image) {
  std::string header;
  append(header, static_cast<uint64_t>(image.width)), append(header, static_cast<uint64_t>(image.height));
  header += {8, 2, 0, 0, 0};  // bits, RGB, deflate, filters by row, not interlaced
  std::string out(kPngMark);
  append_chunk(out, "IHDR", header);
  append_chunk(out, "IDAT", stored(rows_of(image)));
  append_chunk(out, "IEND", {});
  return out;
}

}  // namespace antiphon::media
