#include <antiphon/weights/json_cursor.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

#include <antiphon/base/error.h>

namespace antiphon::weights {
namespace {

constexpr int max_depth = 127;

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

}  // namespace

void JsonCursor::fail_here(const std::string& message) const {
  fail(ErrorKind::weights, fmt::format("{}, byte {}: {}", where_, at_, message),
       "the file is damaged or was not written as safetensors: fetch it again, or save it anew");
}

// The next character that is not white space, not consumed; 0 at the end of the text.
char JsonCursor::peek() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
    ++at_;
  return at_ < text_.size() ? text_[at_] : '\0';
}

void JsonCursor::expect(char c, const char* what) {
  if (peek() != c || at_ >= text_.size()) fail_here(fmt::format("expected {}", what));
  ++at_;
}

void JsonCursor::open(char bracket, const char* what) {
  expect(bracket, what);
  if (++depth_ > max_depth) fail_here(fmt::format("more than {} nested levels", max_depth));
}

// Steps to the next element; false if the bracket closes.
bool JsonCursor::next(char close, bool first) {
  const char c = peek();
  if (c == close) {
    ++at_;
    return false;
  }
  if (!first) expect(',', close == '}' ? "',' or '}'" : "',' or ']'");
  return true;
}

uint32_t JsonCursor::hex4() {
  uint32_t code = 0;
  const auto end = std::min(at_ + 4, text_.size());
  const auto [stop, error] = std::from_chars(text_.data() + at_, text_.data() + end, code, 16);
  if (error != std::errc() || stop != text_.data() + at_ + 4) fail_here("expected four hexadecimal digits after \\u");
  at_ += 4;
  return code;
}

void JsonCursor::escape(std::string& out) {
  if (at_ >= text_.size()) fail_here("the text ends within a string");
  const char c = text_[at_++];
  constexpr std::string_view names = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
  if (const auto index = names.find(c); index != std::string_view::npos) {
    out += values[index];
    return;
  }
  if (c != 'u') fail_here("unknown escape in a string");
  uint32_t code = hex4();
  if (code >= 0xDC00 && code <= 0xDFFF) fail_here("lone surrogate in a string");
  if (code >= 0xD800 && code <= 0xDBFF) {
    if (text_.substr(at_, 2) != "\\u") fail_here("lone surrogate in a string");
    at_ += 2;
    const uint32_t low = hex4();
    if (low < 0xDC00 || low > 0xDFFF) fail_here("lone surrogate in a string");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  append_utf8(out, code);
}

std::string JsonCursor::string() {
  expect('"', "a string");
  std::string out;
  while (true) {
    if (at_ >= text_.size()) fail_here("the text ends within a string");
    const char c = text_[at_];
    if (static_cast<unsigned char>(c) < 0x20) fail_here("control character in a string");
    ++at_;
    if (c == '"') return out;
    if (c == '\\')
      escape(out);
    else
      out += c;
  }
}

uint64_t JsonCursor::unsigned_integer() {
  peek();
  const auto begin = at_;
  number();
  uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text_.data() + begin, text_.data() + at_, value);
  if (error == std::errc() && stop == text_.data() + at_) return value;
  const auto text = text_.substr(begin, std::min<size_t>(at_ - begin, 32));
  at_ = begin;
  fail_here(fmt::format("expected a whole number from 0 to 2^64-1, got {}", text));
}

void JsonCursor::digits() {
  if (!at_digit()) fail_here("expected a digit");
  while (at_digit()) ++at_;
}

void JsonCursor::number() {
  const auto begin = at_;
  const auto at = [&](char c) { return at_ < text_.size() && text_[at_] == c; };
  if (at('-')) ++at_;
  const bool zero = at('0');
  const auto leading = at_;
  digits();
  if (zero && at_ > leading + 1) fail_here("a number may not begin with 0");
  bool real = false;
  if (at('.')) {
    ++at_;
    digits();
    real = true;
  }
  if (at('e') || at('E')) {
    ++at_;
    if (at('+') || at('-')) ++at_;
    digits();
    real = true;
  }
  // Most numbers are short and whole; only the others can leave the range of a double.
  if (!real && at_ - begin < 300) return;
  const std::string text(text_.substr(begin, at_ - begin));
  if (std::isinf(std::strtod(text.c_str(), nullptr))) fail_here("number out of range");
}

void JsonCursor::literal(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) fail_here("expected a value");
  at_ += word.size();
}

bool JsonCursor::take_null() {
  if (peek() != 'n') return false;
  literal("null");
  return true;
}

void JsonCursor::skip() {
  switch (peek()) {
    case '{': return object([&](const std::string&) { skip(); });
    case '[': return array([&] { skip(); });
    case '"': string(); return;
    case 't': return literal("true");
    case 'f': return literal("false");
    case 'n': return literal("null");
    default: break;
  }
  if (!at_digit() && !(at_ < text_.size() && text_[at_] == '-')) fail_here("expected a value");
  number();
}

void JsonCursor::finish() {
  peek();
  if (at_ != text_.size()) fail_here("text after the end of the JSON");
}

}  // namespace antiphon::weights
