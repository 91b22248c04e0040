#include <antiphon/weights/torch/zip.h>

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include <antiphon/base/error.h>

namespace antiphon::weights {
namespace {

constexpr uint64_t kEndBytes = 22, kMaxComment = 65535, kEnd64Bytes = 56, kLocatorBytes = 20, kEntryBytes = 46,
                   kLocalBytes = 30, kMaxDirectory = 256 << 20;
constexpr uint32_t kEnd = 0x06054b50, kEnd64 = 0x06064b50, kLocator = 0x07064b50, kEntry = 0x02014b50,
                   kLocal = 0x04034b50;
constexpr uint16_t kEncrypted = 1, kSizesOf64 = 1;  // a flag; an extra field

[[noreturn]] void damaged(const ByteSource& archive, const std::string& what) {
  fail(ErrorKind::weights, fmt::format("{}: {}", archive.name, what), "fetch the file again: it is cut off or damaged");
}

// Little-endian numbers of a text.
uint64_t number(std::string_view bytes, uint64_t at, int width) {
  uint64_t value = 0;
  for (int i = width - 1; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[at + static_cast<uint64_t>(i)]);
  return value;
}

struct Directory {
  uint64_t begin = 0, size = 0, entries = 0;
};

Directory directory64(const ByteSource& archive, uint64_t end) {
  if (end < kLocatorBytes) damaged(archive, "its directory says that it has 64 bit numbers, and does not");
  const auto locator = archive.read(end - kLocatorBytes, kLocatorBytes);
  if (number(locator, 0, 4) != kLocator)
    damaged(archive, "its directory says that it has 64 bit numbers, and does not");
  const auto record = archive.read(number(locator, 8, 8), kEnd64Bytes);
  if (number(record, 0, 4) != kEnd64) damaged(archive, "the end of its directory is not where it says");
  return {number(record, 48, 8), number(record, 40, 8), number(record, 32, 8)};
}

Directory find_directory(const ByteSource& archive) {
  const uint64_t tail_bytes = std::min(archive.size, kEndBytes + kMaxComment);
  const auto tail = archive.read(archive.size - tail_bytes, tail_bytes);
  for (uint64_t at = tail_bytes < kEndBytes ? 0 : tail_bytes - kEndBytes + 1; at-- > 0;) {
    if (number(tail, at, 4) != kEnd || number(tail, at + 20, 2) != tail_bytes - at - kEndBytes) continue;
    const Directory found{number(tail, at + 16, 4), number(tail, at + 12, 4), number(tail, at + 10, 2)};
    const bool is_64 = found.begin == 0xffffffff || found.size == 0xffffffff || found.entries == 0xffff;
    return is_64 ? directory64(archive, archive.size - tail_bytes + at) : found;
  }
  damaged(archive, "it is not a zip archive, as torch.save() writes it");
}

// The numbers that do not fit into 32 bits, in this order, of a member's extra fields.
void read_sizes_of_64(std::string_view extra, uint64_t& size, uint64_t& stored, uint64_t& local) {
  while (extra.size() >= 4) {
    const uint64_t id = number(extra, 0, 2), bytes = number(extra, 2, 2);
    if (bytes > extra.size() - 4) return;
    auto field = extra.substr(4, bytes);
    extra.remove_prefix(4 + bytes);
    if (id != kSizesOf64) continue;
    for (auto* value : {&size, &stored, &local}) {
      if (*value != 0xffffffff) continue;
      if (field.size() < 8) return;
      *value = number(field, 0, 8), field.remove_prefix(8);
    }
  }
}

// Where its bytes begin stands in the member's own header, which may be longer than its entry.
uint64_t begin_of(const ByteSource& archive, uint64_t local, const std::string& name) {
  const auto header = archive.read(local, kLocalBytes);
  if (number(header, 0, 4) != kLocal) damaged(archive, fmt::format("{} is not where the directory says", name));
  return local + kLocalBytes + number(header, 26, 2) + number(header, 28, 2);
}

}  // namespace

std::vector<ZipMember> zip_members(const ByteSource& archive) {
  const auto place = find_directory(archive);
  if (place.entries > kMaxZipMembers || place.size > kMaxDirectory)
    damaged(archive, fmt::format("a directory of {} members in {} bytes, at most {} are read", place.entries,
                                 place.size, kMaxZipMembers));
  const auto directory = archive.read(place.begin, place.size);
  std::vector<ZipMember> members;
  uint64_t at = 0;
  for (uint64_t i = 0; i < place.entries; ++i) {
    if (directory.size() - at < kEntryBytes || number(directory, at, 4) != kEntry)
      damaged(archive, fmt::format("entry {} of its directory is none", i));
    const uint64_t name = number(directory, at + 28, 2), extra = number(directory, at + 30, 2),
                   comment = number(directory, at + 32, 2);
    if (directory.size() - at - kEntryBytes < name + extra + comment)
      damaged(archive, fmt::format("entry {} of its directory is cut off", i));
    ZipMember member{directory.substr(at + kEntryBytes, name)};
    uint64_t stored = number(directory, at + 20, 4), local = number(directory, at + 42, 4);
    member.size = number(directory, at + 24, 4);
    read_sizes_of_64(std::string_view(directory).substr(at + kEntryBytes + name, extra), member.size, stored, local);
    if (number(directory, at + 10, 2) != 0 || stored != member.size || (number(directory, at + 8, 2) & kEncrypted))
      fail(ErrorKind::weights, fmt::format("{}: {} is compressed or encrypted", archive.name, member.name),
           "save it again with torch.save(), which stores as it is");
    member.begin = begin_of(archive, local, member.name);
    if (member.begin > archive.size || member.size > archive.size - member.begin)
      damaged(archive, fmt::format("{} reaches beyond its end", member.name));
    members.push_back(std::move(member));
    at += kEntryBytes + name + extra + comment;
  }
  return members;
}

}  // namespace antiphon::weights
