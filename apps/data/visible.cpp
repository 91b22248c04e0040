#include <data/visible.h>

#include <fmt/format.h>

#include <antiphon/base/strings.h>
#include <antiphon/text/unicode.h>

namespace antiphon::apps {
namespace {

bool hidden(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

std::string shown(std::string_view character, char32_t c, bool break_lines) {
  if (c == ' ') return "·";
  if (c == '\n') return break_lines ? "↵\n" : "↵";
  if (c == '\t') return "⇥";
  if (hidden(c)) return fmt::format("\\u{{{:x}}}", static_cast<uint32_t>(c));
  return std::string(character);
}

// Length of the character at the start, or 0 where the bytes are no UTF-8.
size_t character(std::string_view bytes) {
  for (size_t n = 1; n <= std::min<size_t>(4, bytes.size()); ++n)
    if (is_utf8(bytes.substr(0, n))) return n;
  return 0;
}

}  // namespace

std::string visible(std::string_view bytes, bool break_lines) {
  std::string out;
  while (!bytes.empty()) {
    const size_t n = character(bytes);
    if (n == 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]));
    } else {
      out += shown(bytes.substr(0, n), text::code_point_at(bytes, 0).value, break_lines);
    }
    bytes.remove_prefix(std::max<size_t>(n, 1));
  }
  return out;
}

}  // namespace antiphon::apps
