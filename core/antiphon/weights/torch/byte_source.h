// Bytes that are read where they are needed: a file, or a part of one.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace antiphon::weights {

struct ByteSource {
  std::string name;  // for messages
  uint64_t size = 0;
  std::function<std::string(uint64_t begin, uint64_t count)> bytes;  // within `size`

  // Error(weights) if [begin, begin + count) does not lie within.
  std::string read(uint64_t begin, uint64_t count) const;
  // A part of it.
  ByteSource part(uint64_t begin, uint64_t count, const std::string& of) const;
};

// Error(weights) if it is missing or no regular file. It stays open as long as copies of it.
ByteSource open_bytes(const std::filesystem::path& path);

}  // namespace antiphon::weights
