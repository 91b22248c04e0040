#include <antiphon/text/score_text.h>

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <antiphon/base/error.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

icu::UnicodeString decoded(std::string_view text) {
  const auto valid = to_valid_utf8(text);
  return icu::UnicodeString::fromUTF8(icu::StringPiece(valid.data(), static_cast<int32_t>(valid.size())));
}

uint32_t category(UChar32 c) { return U_GET_GC_MASK(c); }

// str.isspace(): White_Space, plus the four ASCII separators that lack it.
bool is_python_space(UChar32 c) { return (c >= 0x1C && c <= 0x1F) || is_space(static_cast<char32_t>(c)); }

icu::UnicodeString lowered(icu::UnicodeString text) { return text.toLower(icu::Locale::getRoot()); }

// Calls `use` for each code point.
template <class Use>
void for_each(const icu::UnicodeString& text, const Use& use) {
  for (int32_t i = 0; i < text.length(); i = text.moveIndex32(i, 1)) use(text.char32At(i));
}

// Drops characters that `removed` selects; writes those that `blank` selects, and white space, as single spaces.
template <class Removed, class Blank>
std::string collapsed(const icu::UnicodeString& text, const Removed& removed, const Blank& blank) {
  icu::UnicodeString out;
  bool space = false;
  for_each(text, [&](UChar32 c) {
    if (removed(c)) return;
    if (blank(c) || is_python_space(c)) {
      space = !out.isEmpty();
      return;
    }
    if (space) out.append(u' ');
    space = false;
    out.append(c);
  });
  std::string bytes;
  return out.toUTF8String(bytes);
}

// Without the text from `open` to the next `close`; if `close` never comes, all stays. With `inside`, at least one
// character must be between them.
icu::UnicodeString without_brackets(const icu::UnicodeString& text, std::u16string_view open, std::u16string_view close,
                                    bool inside) {
  icu::UnicodeString out;
  const auto at = [&](int32_t i) { return static_cast<char16_t>(text.charAt(i)); };
  int32_t next_close = -1;
  for (int32_t i = 0; i < text.length(); ++i) {
    if (open.find(at(i)) == std::u16string_view::npos) {
      out.append(at(i));
      continue;
    }
    const int32_t first = i + 1 + (inside ? 1 : 0);
    next_close = std::max(next_close, i + 1);
    while (next_close < text.length() && close.find(at(next_close)) == std::u16string_view::npos) ++next_close;
    if (next_close < first || next_close >= text.length()) {
      out.append(at(i));
      continue;
    }
    i = next_close;
  }
  return out;
}

icu::UnicodeString outside_brackets(std::string_view text) {
  return without_brackets(without_brackets(lowered(decoded(text)), u"<[", u">]", false), u"(", u")", true);
}

icu::UnicodeString nfkc(const icu::UnicodeString& text) {
  UErrorCode code = U_ZERO_ERROR;
  const auto* normalizer = icu::Normalizer2::getNFKCInstance(code);
  auto out = U_SUCCESS(code) ? normalizer->normalize(text, code) : icu::UnicodeString();
  if (U_FAILURE(code))
    fail(ErrorKind::internal, std::string("the Unicode library reports ") + u_errorName(code),
         "check the installation of ICU");
  return out;
}

}  // namespace

std::string without_punctuation(std::string_view text) {
  return collapsed(
      lowered(decoded(text)), [](UChar32 c) { return (category(c) & U_GC_P_MASK) != 0; },
      [](UChar32) { return false; });
}

std::string whisper_basic(std::string_view text) {
  const auto plain = outside_brackets(text);
  const auto blank = [](UChar32 c) { return (category(c) & (U_GC_M_MASK | U_GC_S_MASK | U_GC_P_MASK)) != 0; };
  icu::UnicodeString clean;
  for_each(nfkc(plain), [&](UChar32 c) { clean.append(blank(c) ? UChar32{' '} : c); });
  const auto never = [](UChar32) { return false; };
  return collapsed(lowered(clean), never, never);
}

std::string lower_outside_brackets(std::string_view text) {
  std::string bytes;
  return outside_brackets(text).toUTF8String(bytes);
}

std::string python_lower(std::string_view text) {
  std::string bytes;
  return lowered(decoded(text)).toUTF8String(bytes);
}

std::u32string code_points(std::string_view text) {
  std::u32string out;
  for_each(decoded(text), [&](UChar32 c) { out += static_cast<char32_t>(c); });
  return out;
}

std::u32string without_spaces(std::string_view text) {
  std::u32string out;
  for_each(decoded(text), [&](UChar32 c) {
    if (!is_python_space(c)) out += static_cast<char32_t>(c);
  });
  return out;
}

}  // namespace antiphon::text
