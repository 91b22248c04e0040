#include <antiphon/media/image/orientation.h>

#include <optional>

#include <antiphon/media/byte_reader.h>

namespace antiphon::media {
namespace {

// Where the first directory of a TIFF structure has the entry of a tag, of 12 bytes that are there.
std::optional<size_t> entry_of(std::string_view tiff, uint64_t tag) {
  if (tiff.size() < 8 || (!tiff.starts_with("II") && !tiff.starts_with("MM"))) return std::nullopt;
  const bool little = tiff.starts_with("II");
  const size_t directory = number_at(tiff, 4, 4, little);
  if (directory > tiff.size() - 2) return std::nullopt;
  const size_t entries = number_at(tiff, directory, 2, little);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * 12;
    if (entry + 12 > tiff.size()) return std::nullopt;
    if (number_at(tiff, entry, 2, little) == tag) return entry;
  }
  return std::nullopt;
}

// SHORT and LONG, the whole numbers of a directory.
size_t size_of_type(uint64_t type) { return type == 3 ? 2 : type == 4 ? 4 : 0; }

// The first value of a directory entry, stored elsewhere if the values take more than four bytes; 0 if not a whole
// number.
uint64_t value_of(std::string_view tiff, size_t entry, bool little) {
  const size_t bytes = size_of_type(number_at(tiff, entry + 2, 2, little));
  const uint64_t count = number_at(tiff, entry + 4, 4, little);
  if (bytes == 0 || count == 0) return 0;
  const size_t at = count * bytes > 4 ? number_at(tiff, entry + 8, 4, little) : entry + 8;
  return at <= tiff.size() - bytes ? number_at(tiff, at, bytes, little) : 0;
}

std::optional<uint64_t> exif_orientation(std::string_view exif) {
  constexpr std::string_view mark("Exif\0\0", 6);
  while (exif.starts_with(mark)) exif.remove_prefix(mark.size());
  return tiff_tag(exif, 0x0112);
}

// tiff:Orientation="6" or <tiff:Orientation>6<.
std::optional<uint64_t> xmp_orientation(std::string_view xmp) {
  constexpr std::string_view name = "tiff:Orientation";
  for (size_t at = 0; (at = xmp.find(name, at)) != std::string_view::npos; at += name.size()) {
    std::string_view rest = xmp.substr(at + name.size());
    const size_t skipped = rest.starts_with("=\"") ? 2 : rest.starts_with(">") ? 1 : 0;
    rest.remove_prefix(skipped);
    if (skipped > 0 && !rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return std::nullopt;
}

}  // namespace

std::optional<uint64_t> tiff_tag(std::string_view tiff, uint64_t tag) {
  const auto entry = entry_of(tiff, tag);
  return entry ? std::optional(value_of(tiff, *entry, tiff.starts_with("II"))) : std::nullopt;
}

std::string_view tiff_bytes(std::string_view tiff, uint64_t tag) {
  const auto entry = entry_of(tiff, tag);
  if (!entry) return {};
  const bool little = tiff.starts_with("II");
  const uint64_t type = number_at(tiff, *entry + 2, 2, little), count = number_at(tiff, *entry + 4, 4, little);
  const size_t at = count > 4 ? number_at(tiff, *entry + 8, 4, little) : *entry + 8;
  const bool of_bytes = type == 1 || type == 7;  // BYTE, UNDEFINED
  return of_bytes && at <= tiff.size() && count <= tiff.size() - at ? tiff.substr(at, count) : std::string_view();
}

int orientation_of(const PictureNotes& notes) {
  auto value = exif_orientation(notes.exif);
  if (!value) value = xmp_orientation(notes.xmp);
  return value && *value >= 1 && *value <= 8 ? static_cast<int>(*value) : 1;
}

}  // namespace antiphon::media
