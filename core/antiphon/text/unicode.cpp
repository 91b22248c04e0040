#include <antiphon/text/unicode.h>

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/unistr.h>

#include <antiphon/base/error.h>

namespace antiphon::text {
namespace {

struct Range {
  char32_t first, last;
};

// Digits added after ICU 72 (Unicode 15), up to Unicode 17.
constexpr Range newer_numerics[] = {{0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9},
                                    {0x11DE0, 0x11DE9}, {0x16130, 0x16139}, {0x16D70, 0x16D79},
                                    {0x16FF4, 0x16FF6}, {0x1CCF0, 0x1CCF9}, {0x1E5F1, 0x1E5FA}};

// Upper-case letters added after ICU 72: from first to last, lower = upper + shift.
struct Lowering {
  char32_t first, last;
  int32_t shift;
};
constexpr Lowering newer_capitals[] = {{0x1C89, 0x1C89, 1},      {0xA7CB, 0xA7CB, 0x264 - 0xA7CB},
                                       {0xA7CC, 0xA7CC, 1},      {0xA7CE, 0xA7CE, 1},
                                       {0xA7D2, 0xA7D2, 1},      {0xA7D4, 0xA7D4, 1},
                                       {0xA7DA, 0xA7DA, 1},      {0xA7DC, 0xA7DC, 0x19B - 0xA7DC},
                                       {0x10D50, 0x10D65, 0x20}, {0x16EA0, 0x16EB8, 0x1B}};

[[noreturn]] void fail_icu(UErrorCode code) {
  fail(ErrorKind::internal, std::string("the Unicode library reports ") + u_errorName(code),
       "check the installation of ICU");
}

const icu::Normalizer2& base_normalizer(NormalForm form) {
  UErrorCode code = U_ZERO_ERROR;
  const auto* result = form == NormalForm::nfc    ? icu::Normalizer2::getNFCInstance(code)
                       : form == NormalForm::nfd  ? icu::Normalizer2::getNFDInstance(code)
                       : form == NormalForm::nfkc ? icu::Normalizer2::getNFKCInstance(code)
                                                  : icu::Normalizer2::getNFKDInstance(code);
  if (U_FAILURE(code)) fail_icu(code);
  return *result;
}

const icu::UnicodeSet& unicode_9() {
  static const auto* set = [] {
    UErrorCode code = U_ZERO_ERROR;
    auto* created = new icu::UnicodeSet(u"[:age=9.0:]", code);
    if (U_FAILURE(code)) fail_icu(code);
    created->freeze();
    return created;
  }();
  return *set;
}

bool is_ascii(std::string_view text) {
  for (unsigned char c : text)
    if (c >= 0x80) return false;
  return true;
}

char32_t lower(char32_t c) {
  for (const auto& range : newer_capitals)
    if (c >= range.first && c <= range.last) return static_cast<char32_t>(static_cast<int32_t>(c) + range.shift);
  return static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)));
}

// Bytes of the maximal subpart at bytes[0], and whether it is a whole character.
struct Subpart {
  size_t length;
  bool whole;
};

Subpart subpart(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned c = at(0);
  if (c < 0x80) return {1, true};
  if (c < 0xC2 || c > 0xF4) return {1, false};
  const size_t expected = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
  const unsigned low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
  const unsigned high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
  size_t length = 1;
  while (length < expected && length < bytes.size()) {
    const unsigned next = at(length);
    if (length == 1 ? next < low || next > high : (next & 0xC0) != 0x80) break;
    ++length;
  }
  return {length, length == expected};
}

}  // namespace

std::string normalize(NormalForm form, std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  UErrorCode code = U_ZERO_ERROR;
  const icu::FilteredNormalizer2 filtered(base_normalizer(form), unicode_9());
  const icu::Normalizer2& normalizer = filtered;  // the one-string overload is hidden in the derived class
  const auto result = normalizer.normalize(
      icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size()))), code);
  if (U_FAILURE(code)) fail_icu(code);
  std::string out;
  return result.toUTF8String(out);
}

std::string lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto [c, length] = code_point_at(text, i);
    i += length;
    if (c == 0x130) {
      out += "i\xCC\x87";  // the only upper-case letter whose lower-case form is two characters
    } else {
      append_utf8(out, lower(c));
    }
  }
  return out;
}

std::string lowercase_in_context(std::string_view text) {
  std::string out;
  return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())))
      .toLower(icu::Locale::getRoot())
      .toUTF8String(out);
}

CodePoint code_point_at(std::string_view text, size_t position) {
  const auto at = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[position + i])); };
  const char32_t c = at(0);
  if (c < 0x80) return {c, 1};
  if (c < 0xE0) return {(c & 0x1F) << 6 | (at(1) & 0x3F), 2};
  if (c < 0xF0) return {(c & 0x0F) << 12 | (at(1) & 0x3F) << 6 | (at(2) & 0x3F), 3};
  return {(c & 0x07) << 18 | (at(1) & 0x3F) << 12 | (at(2) & 0x3F) << 6 | (at(3) & 0x3F), 4};
}

size_t previous_start(std::string_view text, size_t position) {
  --position;
  while (position > 0 && (static_cast<unsigned char>(text[position]) & 0xC0) == 0x80) --position;
  return position;
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) return put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  if (c < 0x10000) return put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  for (const auto& range : newer_numerics)
    if (c >= range.first && c <= range.last) return true;
  return (U_MASK(u_charType(static_cast<UChar32>(c))) & U_GC_N_MASK) != 0;
}

bool is_space(char32_t c) { return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_WHITE_SPACE); }

size_t incomplete_tail(std::string_view bytes) {
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const auto tail = bytes.substr(bytes.size() - back);
    const auto lead = static_cast<unsigned char>(tail[0]);
    if (lead < 0xC2 || lead > 0xF4) continue;
    const auto part = subpart(tail);
    return !part.whole && part.length == back ? back : 0;
  }
  return 0;
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const auto part = subpart(bytes);
    out += part.whole ? bytes.substr(0, part.length) : std::string_view("\xEF\xBF\xBD");
    bytes.remove_prefix(part.length);
  }
  return out;
}

}  // namespace antiphon::text
