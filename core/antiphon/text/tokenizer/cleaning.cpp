#include <antiphon/text/tokenizer/cleaning.h>

#include <antiphon/text/tokenizer/char_classes.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

template <class Wanted>
std::string only(std::string_view text, const Wanted& wanted) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto [c, length] = code_point_at(text, i);
    if (wanted(c)) out += text.substr(i, length);
    i += length;
  }
  return out;
}

void append_clean(std::string& out, std::string_view character, char32_t c, const BertOptions& options) {
  if (options.clean_text) {
    if (c == 0 || c == 0xFFFD || is_invisible(c)) return;
    if (is_space(c)) return out.append(1, ' '), void();
  }
  const bool apart = options.ideographs && is_ideograph(c);
  if (apart) out += ' ';
  out += character;
  if (apart) out += ' ';
}

bool is_nmt_control(char32_t c) {
  return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
}

bool is_nmt_space(char32_t c) {
  return c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
         c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

}  // namespace

std::string as_bert(std::string text, const BertOptions& options) {
  if (options.clean_text || options.ideographs) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
      const auto [c, length] = code_point_at(text, i);
      append_clean(out, std::string_view(text).substr(i, length), c, options);
      i += length;
    }
    text = std::move(out);
  }
  if (options.strip_accents)
    text = only(normalize(NormalForm::nfd, text), [](char32_t c) { return !is_nonspacing_mark(c); });
  return options.lowercase ? lowercase(text) : text;
}

std::string without_marks(std::string_view text) {
  return only(text, [](char32_t c) { return !is_mark(c); });
}

std::string as_nmt(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto [c, length] = code_point_at(text, i);
    if (is_nmt_space(c))
      out += ' ';
    else if (!is_nmt_control(c))
      out += text.substr(i, length);
    i += length;
  }
  return out;
}

std::string strip(std::string_view text, bool left, bool right) {
  while (left && !text.empty()) {
    const auto [c, length] = code_point_at(text, 0);
    if (!is_space(c)) break;
    text.remove_prefix(length);
  }
  while (right && !text.empty()) {
    const size_t start = previous_start(text, text.size());
    if (!is_space(code_point_at(text, start).value)) break;
    text.remove_suffix(text.size() - start);
  }
  return std::string(text);
}

}  // namespace antiphon::text
