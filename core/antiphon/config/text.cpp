#include <antiphon/config/text.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace antiphon::config {
namespace {

constexpr size_t longest_shown = 60;

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '\b': out += "\\b"; return;
    case '\t': out += "\\t"; return;
    case '\n': out += "\\n"; return;
    case '\f': out += "\\f"; return;
    case '\r': out += "\\r"; return;
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    default: break;
  }
  const auto code = static_cast<unsigned char>(c);
  if (code < 0x20 || code == 0x7F) {
    out += fmt::format("\\u{:04X}", code);
  } else {
    out += c;
  }
}

// At most `longest_shown` bytes, cut between code points.
std::string shortened(std::string_view text) {
  if (text.size() <= longest_shown) return in_quotes(text);
  size_t end = longest_shown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return in_quotes(text.substr(0, end)) + "…";
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

std::string number_text(double value) {
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  return whole ? fmt::format("{}", static_cast<int64_t>(value)) : fmt::format("{}", value);
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (char c : text) append_escaped(out, c);
  return out + '"';
}

std::string key_text(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), is_bare) ? std::string(key) : in_quotes(key);
}

std::string scalar_text(const Value& value) {
  if (const auto* b = value.get_if<bool>()) return *b ? "true" : "false";
  if (const auto* i = value.get_if<int64_t>()) return std::to_string(*i);
  if (const auto* d = value.get_if<double>()) return float_text(*d);
  return in_quotes(std::get<std::string>(value.data));
}

std::string key_path(const std::string& section, std::string_view key) {
  return section.empty() ? key_text(key) : section + "." + key_text(key);
}

std::string in_words(const Value& value) {
  if (const auto* text = value.get_if<std::string>()) return "string " + shortened(*text);
  if (const auto* list = value.get_if<Value::Array>()) return fmt::format("list of {}", list->size());
  if (value.empty() || value.get_if<Value::Table>()) return std::string(value.type_name());
  return fmt::format("{} {}", value.type_name(), scalar_text(value));
}

}  // namespace antiphon::config
