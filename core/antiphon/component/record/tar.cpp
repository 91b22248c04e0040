// Sources: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar manual, "Basic Tar
// Format".
#include <antiphon/component/record/tar.h>

#include <fmt/format.h>

#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

#include <algorithm>
#include <charconv>

namespace antiphon::records {
namespace {

constexpr uint64_t kMostNameBytes = 4096, kMostPaxBytes = 1 << 20;
constexpr const char* kFetchAgain = "fetch the archive again, or make it anew";

uint64_t padded(uint64_t size) { return (size + kTarBlock - 1) / kTarBlock * kTarBlock; }

std::string_view field(std::string_view block, size_t at, size_t size) {
  const auto text = block.substr(at, size);
  return text.substr(0, text.find('\0'));
}

// Octal digits between spaces, or binary if the first bit is set (GNU). Nothing if it is neither, or above 2^63.
std::optional<uint64_t> tar_number(std::string_view bytes) {
  uint64_t value = 0;
  if (static_cast<unsigned char>(bytes[0]) & 0x80) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (value >> 55) return std::nullopt;
      value = value << 8 | (static_cast<unsigned char>(bytes[i]) & (i == 0 ? 0x7f : 0xff));
    }
    return value;
  }
  const auto text = trim(bytes.substr(0, bytes.find('\0')));
  if (text.empty()) return 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (error != std::errc() || end != text.data() + text.size() || value >> 62) return std::nullopt;
  return value;
}

// The sum of all bytes with its own field as spaces; old programs added them as signed.
bool has_right_sum(std::string_view block) {
  const auto stated = tar_number(block.substr(148, 8));
  int64_t sum = 0, with_signs = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    const char c = i >= 148 && i < 156 ? ' ' : block[i];
    sum += static_cast<unsigned char>(c), with_signs += static_cast<signed char>(c);
  }
  return stated && (static_cast<int64_t>(*stated) == sum || static_cast<int64_t>(*stated) == with_signs);
}

bool is_zero(std::string_view bytes) { return bytes.find_first_not_of('\0') == std::string_view::npos; }

std::string without_dot(std::string name) {
  while (name.starts_with("./")) name.erase(0, 2);
  return name;
}

}  // namespace

bool begins_tar(std::string_view bytes) {
  return bytes.size() >= kTarBlock && !is_zero(bytes.substr(0, kTarBlock)) && has_right_sum(bytes.substr(0, kTarBlock));
}

struct TarWalk::Header {
  uint64_t at = 0, size = 0;
  char type = 0;
  std::string name;
  bool end = false;
};

// What headers before a member say of it.
struct TarWalk::Names {
  std::string name;
  std::optional<uint64_t> size;
  bool sparse = false;

  // "LENGTH key=value\n", any number of them. False if they are not.
  bool read_pax(std::string_view text) {
    while (!text.empty()) {
      uint64_t length = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
      const auto head = static_cast<size_t>(end - text.data()) + 1;
      if (error != std::errc() || length <= head || length > text.size() || text[length - 1] != '\n') return false;
      const auto pair = text.substr(head, length - head - 1);
      const auto equals = pair.find('=');
      if (equals == std::string_view::npos || !take(pair.substr(0, equals), pair.substr(equals + 1))) return false;
      text.remove_prefix(length);
    }
    return true;
  }
  bool take(std::string_view key, std::string_view value) {
    if (key == "path") name = value;
    if (key.starts_with("GNU.sparse")) sparse = true;
    if (key != "size") return true;
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    size = number;
    return error == std::errc() && end == value.data() + value.size();
  }
};

void TarWalk::refuse(const std::string& why, const std::string& fix) const {
  damaged_ = fix == kFetchAgain;
  fail(ErrorKind::data, fmt::format("{}: {}", shown(file_.path().string()), why), fix);
}

TarWalk::Header TarWalk::header_at(uint64_t at) const {
  const auto block = file_.read(at, kTarBlock);
  if (block.size() < kTarBlock)
    refuse(fmt::format("the archive ends after {} bytes without the mark of its end; it is cut short", file_.size()),
           kFetchAgain);
  if (is_zero(block)) return {at, 0, 0, {}, true};
  const auto size = tar_number(std::string_view(block).substr(124, 12));
  if (!has_right_sum(block) || !size)
    refuse(fmt::format("the header at byte {} is damaged, or is not of a tar archive", at), kFetchAgain);
  Header header{at, *size, block[156], std::string(field(block, 0, 100))};
  const bool posix = block.substr(257, 6) == std::string("ustar\0", 6);
  if (posix && block[345] != '\0') header.name = std::string(field(block, 345, 155)) + "/" + header.name;
  return header;
}

// What follows a header that is itself about the next.
std::string TarWalk::text_of(const Header& header) const {
  const auto limit = header.type == 'x' || header.type == 'g' ? kMostPaxBytes : kMostNameBytes + 1;
  if (header.size > limit)
    refuse(fmt::format("the header at byte {} has {} bytes of names; at most {} are allowed", header.at, header.size,
                       limit),
           kFetchAgain);
  auto text = file_.read(header.at + kTarBlock, header.size);
  if (text.size() < header.size) refuse("the archive is cut short within a header", kFetchAgain);
  return text;
}

// Zeros up to the end: programs fill their last block.
void TarWalk::check_end() const {
  constexpr uint64_t piece = 1 << 20;
  for (uint64_t at = at_; at < file_.size(); at += piece)
    if (!is_zero(file_.read(at, piece)))
      refuse(fmt::format("the archive ends at byte {} and goes on after that", at_),
             "unpack archives that were put one behind the other, and make one of them");
}

std::optional<TarMember> TarWalk::next() {
  Names names;
  for (uint64_t first = at_;;) {
    const auto header = header_at(at_);
    if (header.end) return check_end(), std::nullopt;
    const bool about = header.type == 'x' || header.type == 'g' || header.type == 'L' || header.type == 'K';
    const auto size = about ? header.size : names.size.value_or(header.size);
    const auto begin = header.at + kTarBlock;
    if (begin > file_.size() || size > file_.size() - begin)
      refuse(fmt::format("a member at byte {} has {} bytes, more than the archive has left; it is cut short", header.at,
                         size),
             kFetchAgain);
    at_ = begin + padded(size);
    if (header.type == 'x' && !names.read_pax(text_of(header)))
      refuse(fmt::format("the extended header at byte {} is damaged", header.at), kFetchAgain);
    if (header.type == 'L') names.name = text_of(header).substr(0, header.size), names.name = names.name.c_str();
    if (about) continue;
    auto name = without_dot(names.name.empty() ? header.name : names.name);
    if (name.size() > kMostNameBytes || !is_utf8(name))
      refuse(fmt::format("the member at byte {} has a name that is too long or is not UTF-8", header.at), kFetchAgain);
    const bool regular = header.type == '0' || header.type == '\0' || header.type == '7';
    if (header.type == '5' || (regular && name.ends_with('/'))) {
      names = {}, first = at_;
      continue;
    }
    if (!regular || names.sparse)
      refuse(fmt::format("'{}' is a link, a device or a sparse file", shown(name)),
             "make the archive of regular files alone: tar --dereference, without --sparse");
    return TarMember{std::move(name), first, begin, size};
  }
}

}  // namespace antiphon::records
