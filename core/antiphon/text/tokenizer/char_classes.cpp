#include <antiphon/text/tokenizer/char_classes.h>

#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/unistr.h>

#include <antiphon/base/error.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

const icu::UnicodeSet& set_of(const char16_t* pattern) {
  UErrorCode code = U_ZERO_ERROR;
  auto* created = new icu::UnicodeSet(pattern, code);
  if (U_FAILURE(code))
    fail(ErrorKind::internal, std::string("the Unicode library reports ") + u_errorName(code),
         "check the installation of ICU");
  created->freeze();
  return *created;
}

bool among(const icu::UnicodeSet& set, char32_t c) { return set.contains(static_cast<UChar32>(c)); }

int break_class(char32_t c) {
  if (c >= 0x20 && c < 0x7F) return U_GCB_OTHER;
  return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_GRAPHEME_CLUSTER_BREAK);
}

bool is_control_break(int type) { return type == U_GCB_CONTROL || type == U_GCB_CR || type == U_GCB_LF; }

bool hangul_goes_on(int before, int after) {
  if (before == U_GCB_L) return after == U_GCB_L || after == U_GCB_V || after == U_GCB_LV || after == U_GCB_LVT;
  if (before == U_GCB_LV || before == U_GCB_V) return after == U_GCB_V || after == U_GCB_T;
  return (before == U_GCB_LVT || before == U_GCB_T) && after == U_GCB_T;
}

// What the rules ask of the characters so far.
struct Cluster {
  int last;
  bool picture;         // a pictograph and extending characters only
  bool joined = false;  // … and a joiner after them
  bool odd_flag;        // an odd number of regional indicators

  Cluster(int type, bool is_picture) : last(type), picture(is_picture), odd_flag(type == U_GCB_REGIONAL_INDICATOR) {}

  bool takes(int type, bool is_picture) const {
    if (last == U_GCB_CR) return type == U_GCB_LF;
    if (is_control_break(last) || is_control_break(type)) return false;
    if (type == U_GCB_EXTEND || type == U_GCB_ZWJ || type == U_GCB_SPACING_MARK || last == U_GCB_PREPEND) return true;
    if (joined && is_picture) return true;
    if (type == U_GCB_REGIONAL_INDICATOR) return odd_flag;
    return hangul_goes_on(last, type);
  }
  void add(int type, bool is_picture) {
    joined = picture && type == U_GCB_ZWJ;
    picture = is_picture || (picture && type == U_GCB_EXTEND);
    odd_flag = type == U_GCB_REGIONAL_INDICATOR && !odd_flag;
    last = type;
  }
};

}  // namespace

bool is_punctuation(char32_t c) {
  if (c < 0x80)
    return (c > 0x20 && c < 0x30) || (c > 0x39 && c < 0x41) || (c > 0x5A && c < 0x61) || (c > 0x7A && c < 0x7F);
  static const auto& set = set_of(u"[[[:P:]&[:age=8.0:]]\\u166D\\U000111C9]");
  return among(set, c);
}

bool is_invisible(char32_t c) {
  if (c < 0x7F) return c < 0x20 && c != '\t' && c != '\n' && c != '\r';
  static const auto& set = set_of(u"[[[:Cc:][:Cf:][:Co:]]&[:age=8.0:]]");
  return among(set, c);
}

bool is_nonspacing_mark(char32_t c) {
  if (c < 0x300) return false;
  static const auto& set = set_of(u"[[[:Mn:]&[:age=8.0:]]-[\\u1885\\u1886\\uA9BD\\U000111C9]\\u1734]");
  return among(set, c);
}

bool is_mark(char32_t c) {
  if (c < 0x300) return false;
  static const auto& set = set_of(u"[[[:M:]&[:age=9.0:]]-[\\U000111C9]\\u1CF2\\u1CF3]");
  return among(set, c);
}

bool is_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

size_t grapheme_end(std::string_view text, size_t begin) {
  const auto is_picture = [](char32_t c) {
    return c > 0x7F && u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_EXTENDED_PICTOGRAPHIC);
  };
  const auto first = code_point_at(text, begin);
  Cluster cluster(break_class(first.value), is_picture(first.value));
  size_t end = begin + first.length;
  while (end < text.size()) {
    const auto [c, length] = code_point_at(text, end);
    const int type = break_class(c);
    const bool picture = is_picture(c);
    if (!cluster.takes(type, picture)) break;
    cluster.add(type, picture);
    end += length;
  }
  return end;
}

}  // namespace antiphon::text
