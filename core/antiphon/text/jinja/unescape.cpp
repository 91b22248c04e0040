// String literals, as Python's codec "unicode-escape" reads them.
#include <unicode/uchar.h>

#include <fmt/format.h>

#include <antiphon/text/jinja/heap.h>
#include <antiphon/text/jinja/lexer.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::jinja {
namespace {

constexpr std::string_view letters = "abfnrtv\\'\"", meanings = "\a\b\f\n\r\t\v\\'\"";

class Unescaper {
 public:
  Unescaper(std::string_view rest, int line) : rest_(rest), line_(line) {}

  std::string run() {
    while (!rest_.empty()) {
      const size_t at = rest_.find('\\');
      out_ += rest_.substr(0, at);
      if (at == std::string_view::npos) break;
      rest_.remove_prefix(at + 1);
      escape();
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw Problem{Cause::malformed, fmt::format("a string has {}", what), line_};
  }

  void escape() {
    if (rest_.empty()) refuse("a \\ at its end");
    const char c = rest_[0];
    if (c == '\n') {
      rest_.remove_prefix(1);
    } else if (const size_t known = letters.find(c); known != std::string_view::npos) {
      out_ += meanings[known];
      rest_.remove_prefix(1);
    } else if (c >= '0' && c <= '7') {
      octal();
    } else if (c == 'x' || c == 'u' || c == 'U') {
      code(c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c == 'N') {
      named();
    } else {
      other();
    }
  }

  void put(uint32_t value) {
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) refuse("an escape that is not a character");
    append_utf8(out_, static_cast<char32_t>(value));
  }

  void octal() {
    uint32_t value = 0;
    for (int i = 0; i < 3 && !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '7'; ++i) {
      value = value * 8 + static_cast<uint32_t>(rest_[0] - '0');
      rest_.remove_prefix(1);
    }
    put(value);
  }

  void code(size_t digits) {
    const auto hex = rest_.substr(1, digits);
    if (hex.size() < digits || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos)
      refuse(fmt::format("a truncated \\{} escape", rest_[0]));
    put(static_cast<uint32_t>(std::stoul(std::string(hex), nullptr, 16)));
    rest_.remove_prefix(1 + digits);
  }

  void named() {
    const size_t end = rest_.find('}');
    if (rest_.substr(1, 1) != "{" || end == std::string_view::npos) refuse("a malformed \\N escape");
    UErrorCode error = U_ZERO_ERROR;
    const auto c = u_charFromName(U_EXTENDED_CHAR_NAME, std::string(rest_.substr(2, end - 2)).c_str(), &error);
    if (U_FAILURE(error)) refuse("an unknown name in a \\N escape");
    put(static_cast<uint32_t>(c));
    rest_.remove_prefix(end + 1);
  }

  // An unknown escape stays; non-ASCII characters come out as their own escape, as in Jinja.
  void other() {
    const auto [c, length] = code_point_at(rest_, 0);
    const auto value = static_cast<uint32_t>(c);
    out_ += '\\';
    if (c < 0x80)
      out_ += rest_[0];
    else
      out_ += c < 0x100     ? fmt::format("x{:02x}", value)
              : c < 0x10000 ? fmt::format("u{:04x}", value)
                            : fmt::format("U{:08x}", value);
    rest_.remove_prefix(length);
  }

  std::string_view rest_;
  int line_;
  std::string out_;
};

}  // namespace

std::string unescaped(std::string_view literal, int line) { return Unescaper(literal, line).run(); }

}  // namespace antiphon::text::jinja
