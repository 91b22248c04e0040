// Reads numbers from a file's header. Internal: included by the .cpp files of this folder only.
#pragma once
#include <cstdint>
#include <string_view>

#include <antiphon/base/error.h>

namespace antiphon::media {

// A number of `count` bytes at `at`; Error(data) past the end.
inline uint64_t number_at(std::string_view bytes, size_t at, size_t count, bool little) {
  if (at > bytes.size() || bytes.size() - at < count) fail(ErrorKind::data, "the picture ends within its header");
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i)
    value = value << 8 | static_cast<uint8_t>(bytes[at + (little ? count - 1 - i : i)]);
  return value;
}
inline uint64_t big_endian(std::string_view bytes, size_t at, size_t count) {
  return number_at(bytes, at, count, false);
}
inline uint64_t little_endian(std::string_view bytes, size_t at, size_t count) {
  return number_at(bytes, at, count, true);
}

}  // namespace antiphon::media
