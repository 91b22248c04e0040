// Upper and lower case, and character classes, by ICU.
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <antiphon/text/jinja/words.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::jinja {
namespace {

icu::UnicodeString wide(std::string_view text) {
  return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
}

std::string narrow(const icu::UnicodeString& text) {
  std::string out;
  return text.toUTF8String(out);
}

template <class Change>
std::string each(std::string_view text, Change change) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto [c, length] = code_point_at(text, at);
    out += change(static_cast<UChar32>(c), text.substr(at, length));
    at += length;
  }
  return out;
}

// The title form of one character ("ß" becomes "Ss").
std::string title_of(UChar32 c, std::string_view text) {
  const UChar32 simple = u_totitle(c);
  if (simple != c) return narrow(icu::UnicodeString(simple));
  auto raised = wide(text).toUpper(icu::Locale::getRoot());
  if (raised.countChar32() < 2) return std::string(text);
  const int32_t first = raised.moveIndex32(0, 1);
  return narrow(raised.tempSubString(0, first)) + narrow(raised.tempSubString(first).toLower(icu::Locale::getRoot()));
}

// For letters that continue a word, so that a sigma at their end is a final one.
std::string lower_within(std::string_view text) { return lower("x" + std::string(text)).substr(1); }

bool cased(UChar32 c) { return u_hasBinaryProperty(c, UCHAR_CASED); }
bool title_letter(UChar32 c) { return u_charType(c) == U_TITLECASE_LETTER; }
bool capital(UChar32 c) { return u_hasBinaryProperty(c, UCHAR_UPPERCASE); }
bool small(UChar32 c) { return u_hasBinaryProperty(c, UCHAR_LOWERCASE); }

template <class Bad>
bool cased_without(std::string_view text, Bad bad) {
  bool found = false;
  for (size_t at = 0; at < text.size();) {
    const auto [c, length] = code_point_at(text, at);
    at += length;
    if (bad(static_cast<UChar32>(c))) return false;
    found = found || cased(static_cast<UChar32>(c));
  }
  return found;
}

}  // namespace

std::string upper(std::string_view text) { return narrow(wide(text).toUpper(icu::Locale::getRoot())); }
std::string lower(std::string_view text) { return lowercase_in_context(text); }

std::string title(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto [c, length] = code_point_at(text, at);
    out += title_of(static_cast<UChar32>(c), text.substr(at, length));
    at += length;
    if (!cased(static_cast<UChar32>(c))) continue;
    size_t end = at;
    while (end < text.size() && cased(static_cast<UChar32>(code_point_at(text, end).value)))
      end += code_point_at(text, end).length;
    out += lower_within(text.substr(at, end - at));
    at = end;
  }
  return out;
}

std::string capitalize(std::string_view text) {
  if (text.empty()) return {};
  const auto [c, length] = code_point_at(text, 0);
  return title_of(static_cast<UChar32>(c), text.substr(0, length)) + lower_within(text.substr(length));
}

std::string swapcase(std::string_view text) {
  return each(text, [](UChar32 c, std::string_view letter) {
    return capital(c) ? lower(letter) : small(c) ? upper(letter) : std::string(letter);
  });
}

std::string casefold(std::string_view text) { return narrow(wide(text).foldCase()); }

bool is_upper(std::string_view text) {
  return cased_without(text, [](UChar32 c) { return small(c) || title_letter(c); });
}
bool is_lower(std::string_view text) {
  return cased_without(text, [](UChar32 c) { return capital(c) || title_letter(c); });
}
bool is_title(std::string_view text) {
  bool before = false;
  return cased_without(text, [&](UChar32 c) {
    const bool begins = capital(c) || title_letter(c), bad = begins ? before : small(c) && !before;
    before = cased(c);
    return bad;
  });
}

bool is_class(char32_t code_point, Class kind) {
  const auto c = static_cast<UChar32>(code_point);
  const auto type = u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE);
  const auto mask = U_MASK(u_charType(c));
  switch (kind) {
    case Class::alpha: return (mask & U_GC_L_MASK) != 0;
    case Class::alnum: return (mask & U_GC_L_MASK) != 0 || type != U_NT_NONE;
    case Class::decimal: return type == U_NT_DECIMAL;
    case Class::digit: return type == U_NT_DECIMAL || type == U_NT_DIGIT;
    case Class::numeric: return type != U_NT_NONE;
    case Class::space: return python_space(code_point);
    case Class::printable: return c == ' ' || (mask & (U_GC_C_MASK | U_GC_Z_MASK)) == 0;
  }
  return false;
}

bool all_of(std::string_view text, Class kind) {
  for (size_t at = 0; at < text.size(); at += code_point_at(text, at).length)
    if (!is_class(code_point_at(text, at).value, kind)) return false;
  return !text.empty();
}

}  // namespace antiphon::text::jinja
