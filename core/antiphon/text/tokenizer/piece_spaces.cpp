#include <antiphon/text/tokenizer/piece_spaces.h>

#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

// What stands for the beginning of a text, and how many bytes of it.
Charsmap::Rule first_of(const Charsmap& map, std::string_view text) {
  if (const auto rule = map.longest(text)) return *rule;
  const size_t length = code_point_at(text, 0).length;
  return {length, text.substr(0, length)};
}

std::string_view without_leading_space(const Charsmap& map, std::string_view text) {
  while (!text.empty()) {
    const auto rule = first_of(map, text);
    if (rule.content != " ") break;
    text.remove_prefix(rule.length);
  }
  return text;
}

void append_escaped(std::string& out, std::string_view content, std::string_view space) {
  for (const char c : content) c == ' ' ? out.append(space) : out.append(1, c);
}

}  // namespace

std::string as_sentencepiece(std::string_view text, const Charsmap& map, const PieceSpaces& spaces,
                             Normalizer::Edges edges, size_t most) {
  const auto space = spaces.escape_whitespaces ? escaped_space : std::string_view(" ");
  const bool first = edges.before == Before::nothing, squeeze = spaces.remove_extra_whitespaces;
  if (squeeze && first) text = without_leading_space(map, text);
  std::string out;
  if (text.empty()) return out;
  out.reserve(text.size() + text.size() / 4 + space.size());
  if (spaces.add_dummy_prefix && first) out += space;
  bool after_space = squeeze && first;
  while (!text.empty() && out.size() <= most) {
    auto [length, content] = first_of(map, text);
    while (after_space && content.starts_with(' ')) content.remove_prefix(1);
    if (!content.empty()) {
      append_escaped(out, content, space);
      after_space = squeeze && content.ends_with(' ');
    }
    text.remove_prefix(length);
  }
  while (squeeze && edges.last && out.ends_with(space)) out.resize(out.size() - space.size());
  return out;
}

}  // namespace antiphon::text
