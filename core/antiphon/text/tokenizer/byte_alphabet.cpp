#include <antiphon/text/tokenizer/byte_alphabet.h>

#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

constexpr size_t alphabet_end = 0x144;

bool printable(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

const std::array<int, alphabet_end>& byte_of_character() {
  static const auto table = [] {
    std::array<int, alphabet_end> made{};
    made.fill(-1);
    for (size_t byte = 0; byte < 256; ++byte) made[byte_alphabet()[byte]] = static_cast<int>(byte);
    return made;
  }();
  return table;
}

}  // namespace

const std::array<char32_t, 256>& byte_alphabet() {
  static const auto table = [] {
    std::array<char32_t, 256> made{};
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) made[byte] = printable(byte) ? byte : next++;
    return made;
  }();
  return table;
}

std::optional<std::string> alphabet_to_bytes(std::string_view token) {
  std::string bytes;
  for (size_t i = 0; i < token.size();) {
    const auto [c, length] = code_point_at(token, i);
    if (c >= alphabet_end || byte_of_character()[c] < 0) return std::nullopt;
    bytes += static_cast<char>(byte_of_character()[c]);
    i += length;
  }
  return bytes;
}

}  // namespace antiphon::text
