#include <antiphon/base/shown.h>

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include <antiphon/base/strings.h>
#include <antiphon/base/utf8.h>

namespace antiphon {
namespace {

// Beyond controls: Cf, Zl, Zp and what Unicode calls default ignorable, without the selectors of emoji (U+FE00 to
// FE0F).
constexpr std::pair<char32_t, char32_t> kHidden[] = {
    {0xAD, 0xAD},     {0x61C, 0x61C},   {0x115F, 0x1160},   {0x17B4, 0x17B5},   {0x180B, 0x180F},
    {0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F},   {0x3164, 0x3164},   {0xFEFF, 0xFEFF},
    {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF}};

char32_t code_point(std::string_view character) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
  constexpr unsigned char kFirstBits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  char32_t c = at(0) & kFirstBits[character.size()];
  for (size_t i = 1; i < character.size(); ++i) c = c << 6 | (at(i) & 0x3F);
  return c;
}

// Takes one character off the front and appends it.
void move_character(std::string_view& text, std::string& out, bool (*odd)(char32_t)) {
  const size_t n = utf8_length(text);
  const auto character = text.substr(0, std::max<size_t>(n, 1));
  const char32_t c = n == 0 ? static_cast<unsigned char>(text[0]) : code_point(character);
  text.remove_prefix(character.size());
  if (n > 0 && !odd(c)) {
    out += character;
  } else {
    out += n == 0 || c < 0x80 ? fmt::format("\\x{:02x}", static_cast<uint32_t>(c))
                              : fmt::format("\\u{{{:x}}}", static_cast<uint32_t>(c));
  }
}

bool is_character_start(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

// The position of letter `count` in well-formed text, or its end.
size_t offset_of(std::string_view text, size_t count) {
  size_t i = 0;
  while (i < text.size() && (!is_character_start(text[i]) || count-- > 0)) ++i;
  return i;
}

bool is_hidden_but_tab(char32_t c) { return c != '\t' && is_hidden(c); }

// For well-formed text; the result has at most `letters`.
std::string cut(std::string text, size_t letters) {
  const auto all = static_cast<size_t>(std::count_if(text.begin(), text.end(), is_character_start));
  if (all <= letters) return text;
  const auto mark = fmt::format("…({} letters left out)…", all - letters);
  const size_t left = letters - std::min(letters, mark.size()), head = left / 2;
  return text.substr(0, offset_of(text, head)) + mark + text.substr(offset_of(text, all - (left - head)));
}

}  // namespace

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

bool is_hidden(char32_t c) {
  return is_control(c) || (c & 0xFFFE) == 0xFFFE ||
         std::any_of(std::begin(kHidden), std::end(kHidden),
                     [c](const auto& range) { return c >= range.first && c <= range.second; });
}

std::string escaped(std::string_view text, bool (*odd)(char32_t)) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) move_character(text, out, odd);
  return out;
}

std::string shown(std::string_view text, size_t letters) { return cut(escaped(text), letters); }

std::string shown_lines(std::string_view text, size_t letters) {
  auto lines = split(text, '\n');
  for (auto& line : lines) {
    const bool indented = &line == &lines.front() || line.empty() || line[0] == ' ' || line[0] == '\t';
    line = (indented ? "" : "  ") + cut(escaped(line, is_hidden_but_tab), letters);
  }
  return join(lines, "\n");
}

}  // namespace antiphon
