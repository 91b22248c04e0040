#include <antiphon/eval/bleu.h>

#include <antiphon/base/strings.h>
#include <antiphon/text/english_numbers.h>
#include <antiphon/text/rewrite.h>
#include <antiphon/text/score_text.h>
#include <antiphon/text/unicode.h>

namespace antiphon::eval {
namespace {

std::string rewritten(std::string text, const std::vector<text::Rewrite>& rewrites) {
  for (const auto& rewrite : rewrites) text = rewrite(text);
  return text;
}

// Symbols, points and commas beside what is not a digit, dashes after digits.
std::vector<std::string> western(std::string text) {
  static const auto* rewrites = new std::vector<text::Rewrite>{
      {R"(([\{-\~\[-\` -\&\(-\+\:-\@\/]))", " $1 "},
      {R"(([^0-9])([\.,]))", "$1 $2 "},
      {R"(([\.,])([^0-9]))", " $1 $2"},
      {R"(([0-9])(-))", "$1 $2 "},
  };
  return text::python_words(rewritten(std::move(text), *rewrites));
}

std::vector<std::string> mteval(std::string_view text) {
  static const auto* entities =
      new std::vector<text::Rewrite>{{R"((?<!\s)\s+\z)", ""}, {"<skipped>", ""}, {"-\n", ""},   {"\n", " "},
                                     {"&quot;", "\""},        {"&amp;", "&"},    {"&lt;", "<"}, {"&gt;", ">"}};
  return western(" " + rewritten(std::string(text), *entities) + " ");
}

// Of the reference's ranges two are read as four digits and a character: U+2000 to U+2A6D and U+2F80 to U+2FA1.
bool is_chinese(char32_t c) {
  constexpr std::pair<char32_t, char32_t> ranges[] = {
      {0x3400, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A}, {0xFA70, 0xFAD9}, {0x2001, 0x2A6D},
      {0xFF00, 0xFFEF}, {0x2E80, 0x2EFF}, {0x3000, 0x303F}, {0x31C0, 0x31EF}, {0x2F00, 0x2FDF}, {0x2FF0, 0x2FFF},
      {0x3100, 0x312F}, {0x31A0, 0x31BF}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F}, {0x3200, 0x33FF}};
  for (const auto& [first, last] : ranges)
    if (first <= c && c <= last) return true;
  return false;
}

std::vector<std::string> chinese(std::string_view text) {
  std::string out;
  for (const char32_t c : text::code_points(text)) {
    const bool apart = is_chinese(c);
    if (apart) out += ' ';
    text::append_utf8(out, c);
    if (apart) out += ' ';
  }
  static const auto* ends = new std::vector<text::Rewrite>{{R"(\A\s+|(?<!\s)\s+\z)", ""}};
  return western(rewritten(out, *ends));
}

std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> out;
  for (const char32_t c : text::without_spaces(text)) text::append_utf8(out.emplace_back(), c);
  return out;
}

}  // namespace

std::vector<std::string> bleu_tokens(std::string_view text, std::string_view tokenizer) {
  const auto valid = text::to_valid_utf8(text);
  if (tokenizer == "char") return characters(valid);
  if (tokenizer == "zh") return chinese(valid);
  return tokenizer == "13a" ? mteval(valid) : text::python_words(valid);
}

}  // namespace antiphon::eval
