#include <antiphon/media/image/png.h>

#include <zlib.h>

#include <antiphon/media/byte_reader.h>
#include <antiphon/media/image/image_header.h>
#include <antiphon/media/image/orientation.h>

namespace antiphon::media {
namespace {

// Calls visit(name, content, whole chunk) for each complete chunk; stops when it returns false.
template <class Visit>
void each_chunk(std::string_view bytes, Visit&& visit) {
  for (size_t at = kPngMark.size(); bytes.size() - at >= 12;) {
    const size_t length = big_endian(bytes, at, 4);
    if (length > bytes.size() - at - 12) return;
    if (!visit(bytes.substr(at + 4, 4), bytes.substr(at + 8, length), bytes.substr(at, length + 12))) return;
    at += length + 12;
  }
}

// Nothing if it is damaged or unpacks to more than Pillow accepts.
std::string unpacked(std::string_view packed) {
  std::string text(1 << 20, '\0');
  auto length = static_cast<uLongf>(text.size());
  const int status = uncompress(reinterpret_cast<Bytef*>(text.data()), &length,
                                reinterpret_cast<const Bytef*>(packed.data()), static_cast<uLong>(packed.size()));
  text.resize(status == Z_OK ? length : 0);
  return text;
}

// Takes off and returns what is before the first zero byte; drops that byte too.
std::string_view cut(std::string_view& text) {
  const std::string_view head = text.substr(0, text.find('\0'));
  text.remove_prefix(std::min(text.size(), head.size() + 1));
  return head;
}

// A text chunk's content. tEXt: keyword 0 text; zTXt: keyword 0 method packed; iTXt: keyword 0 packed? method
// language 0 keyword 0 text.
std::string text_of(std::string_view chunk, std::string_view rest) {
  if (chunk == "tEXt") return std::string(rest);
  if (chunk == "zTXt") return rest.starts_with('\0') ? unpacked(rest.substr(1)) : std::string();
  if (rest.size() < 2) return {};
  const bool packed = rest[0] != 0;
  rest.remove_prefix(2);
  cut(rest), cut(rest);
  return packed ? unpacked(rest) : std::string(rest);
}

// ImageMagick's: three lines of preface, then hexadecimal digits.
std::string from_raw_profile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  std::string digits, out;
  for (const char c : text)
    if (std::isxdigit(static_cast<unsigned char>(c))) digits += c;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    out += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return out;
}

PictureNotes notes_of(std::string_view bytes) {
  constexpr int most_texts = 8;  // small compressed texts may unpack to large ones
  PictureNotes notes;
  std::string profile;
  int texts = 0;
  each_chunk(bytes, [&](std::string_view name, std::string_view content, std::string_view) {
    if (name == "eXIf") notes.exif = content;
    if (name != "tEXt" && name != "zTXt" && name != "iTXt") return name != "IEND";
    const std::string_view keyword = cut(content);
    const bool xmp = keyword == "XML:com.adobe.xmp";
    if ((!xmp && keyword != "Raw profile type exif") || ++texts > most_texts) return true;
    if (xmp)
      notes.xmp = text_of(name, content);
    else
      profile = from_raw_profile(text_of(name, content));
    return true;
  });
  if (notes.exif.empty()) notes.exif = profile;
  return notes;
}

}  // namespace

ImageHeader read_png_header(std::string_view bytes) {
  if (big_endian(bytes, 12, 4) != 0x49484452)  // "IHDR"
    fail(ErrorKind::data, "the PNG does not begin with its header");
  return {ImageFormat::png, static_cast<int64_t>(big_endian(bytes, 16, 4)),
          static_cast<int64_t>(big_endian(bytes, 20, 4)), orientation_of(notes_of(bytes))};
}

std::string png_pixel_chunks(std::string_view bytes, bool transparency) {
  std::string out(kPngMark);
  bool complete = false;
  each_chunk(bytes, [&](std::string_view name, std::string_view, std::string_view chunk) {
    if (name == "IHDR" || name == "PLTE" || name == "IDAT" || name == "IEND" || (name == "tRNS" && transparency))
      out += chunk;
    complete = name == "IEND";
    return !complete;
  });
  if (!complete) fail(ErrorKind::data, "the PNG is cut short");
  return out;
}

}  // namespace antiphon::media
