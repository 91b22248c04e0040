#include <antiphon/text/tokenizer/charsmap.h>

#include <cstring>

#include <antiphon/base/base64.h>
#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/text/tokenizer/char_classes.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

// The fields of a unit of a double array (s-yata/darts-clone, include/darts.h).
bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value_in(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t label_in(uint32_t unit) { return unit & 0x800000FF; }
uint32_t offset_in(uint32_t unit) { return unit >> 10 << ((unit & 1 << 9) >> 6); }

constexpr size_t whole_cluster = 6;

}  // namespace

Charsmap::Charsmap(std::string_view bytes, const std::string& where) {
  const auto refuse = [&](const char* what) {
    fail(ErrorKind::config, where + ": the table of replacements " + what, "fetch the tokenizer's files again");
  };
  uint32_t size = 0;
  if (bytes.size() < sizeof size) refuse("has no size");
  std::memcpy(&size, bytes.data(), sizeof size);
  bytes.remove_prefix(sizeof size);
  if (size > bytes.size() || size % sizeof(uint32_t) != 0) refuse("is shorter than it says");
  units_.resize(size / sizeof(uint32_t));
  if (size > 0) std::memcpy(units_.data(), bytes.data(), size);
  contents_ = bytes.substr(size);
  if (!is_utf8(contents_)) refuse("has replacements that are not UTF-8");
  for (size_t c = 0; c < plain_.size(); ++c) {
    const char letter = static_cast<char>(c);
    plain_[c] = !shortest({&letter, 1});
  }
}

Charsmap Charsmap::from_base64(std::string_view text, const std::string& where) {
  const auto bytes = antiphon::from_base64(text);
  if (!bytes)
    fail(ErrorKind::config, where + ": the table of replacements is not base64", "fetch tokenizer.json again");
  return bytes->empty() ? Charsmap() : Charsmap(*bytes, where);
}

template <class Visit>
void Charsmap::each(std::string_view text, const Visit& visit) const {
  if (units_.empty()) return;
  size_t node = offset_in(units_[0]);
  for (size_t i = 0; i < text.size() && text[i] != 0; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label_in(units_[node]) != byte) return;
    const auto unit = units_[node];
    node ^= offset_in(unit);
    if (!has_leaf(unit) || node >= units_.size()) continue;
    const bool splits = i + 1 < text.size() && (static_cast<unsigned char>(text[i + 1]) & 0xC0) == 0x80;
    if (splits) continue;  // a key that ends inside a character: such a table is damaged
    const size_t begin = value_in(units_[node]);
    // A place inside a character is not content: such a table is damaged.
    if (begin >= contents_.size() || (static_cast<unsigned char>(contents_[begin]) & 0xC0) == 0x80) continue;
    const auto content = std::string_view(contents_).substr(begin);
    if (!visit(Rule{i + 1, content.substr(0, content.find('\0'))})) return;
  }
}

std::optional<Charsmap::Rule> Charsmap::longest(std::string_view text) const {
  std::optional<Rule> found;
  each(text, [&](const Rule& rule) {
    found = rule;
    return true;
  });
  return found;
}

std::optional<std::string_view> Charsmap::shortest(std::string_view text) const {
  std::optional<std::string_view> found;
  each(text, [&](const Rule& rule) {
    found = rule.content;
    return false;
  });
  return found;
}

void Charsmap::append(std::string_view text, std::string& out) const {
  if (text.size() < whole_cluster)
    if (const auto content = shortest(text)) {
      out += *content;
      return;
    }
  for (size_t i = 0; i < text.size();) {
    const auto character = text.substr(i, code_point_at(text, i).length);
    out += shortest(character).value_or(character);
    i += character.size();
  }
}

std::string Charsmap::by_clusters(std::string_view text, size_t most) const {
  std::string out;
  out.reserve(text.size());
  const auto is_ascii = [&](size_t i) { return i >= text.size() || static_cast<unsigned char>(text[i]) < 0x80; };
  for (size_t i = 0; i < text.size() && out.size() <= most;) {
    // Between ASCII characters only a carriage return makes a cluster.
    if (is_ascii(i) && is_ascii(i + 1) && text[i] != '\r' && plain_[static_cast<unsigned char>(text[i])]) {
      out += text[i++];
      continue;
    }
    const size_t end = grapheme_end(text, i);
    append(text.substr(i, end - i), out);
    i = end;
  }
  return out;
}

}  // namespace antiphon::text
