// For tests: tar archives as programs write them, byte by byte.
#pragma once
#include <antiphon/data/test_records.h>

#include <fmt/format.h>

#include <string>

namespace antiphon::data::testing {

inline std::string padded(std::string bytes) {
  bytes.resize((bytes.size() + 511) / 512 * 512);
  return bytes;
}

// A header as programs write it; `size` is what it says.
inline std::string header(const std::string& name, uint64_t size, char type = '0', const std::string& prefix = "") {
  std::string block(512, '\0');
  using namespace std::string_literals;
  const auto put = [&](size_t at, const std::string& text) { block.replace(at, text.size(), text); };
  put(0, name.substr(0, 100)), put(100, "0000644"), put(124, fmt::format("{:011o}", size)), put(136, "00000000000");
  put(148, "        "), put(156, std::string(1, type)), put(257, "ustar\0"s + "00"), put(345, prefix);
  unsigned sum = 0;
  for (const unsigned char c : block) sum += c;
  put(148, fmt::format("{:06o}", sum) + '\0');
  return block;
}

inline std::string member(const std::string& name, const std::string& bytes, char type = '0') {
  return header(name, bytes.size(), type) + padded(bytes);
}

inline const std::string kEnd(1024, '\0');

inline const std::string kCaption = member("0.json", R"({"caption": "A cat.", "width": 3})") + member("0.png", "PNG0");

template <class Call>
std::string refusal_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.what();
  }
  return {};
}

inline std::string media_in(const Sample& sample, size_t index = 0) {
  return sample.media.at(index).bytes.read(1 << 20);
}

}  // namespace antiphon::data::testing
