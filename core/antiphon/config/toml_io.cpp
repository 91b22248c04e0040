// The only file that sees toml++.
#include <antiphon/base/error.h>
#include <antiphon/config/text.h>
#include <antiphon/config/value.h>

#define TOML_MAX_NESTED_VALUES 64
#include <toml++/toml.h>

#include <cctype>

#include <fmt/format.h>

namespace antiphon::config {
namespace {

using Source = std::shared_ptr<const std::string>;
constexpr size_t longest_dotted_key = 1000;

Location location(const Source& source, const toml::source_region& region) {
  return {source, static_cast<uint32_t>(region.begin.line), static_cast<uint32_t>(region.begin.column)};
}

Value convert(const toml::node& node, Location where, int depth);

Value convert_table(const toml::table& table, Location where, int depth) {
  Value::Table out;
  for (const auto& [key, node] : table) {
    out.emplace(key.str(), convert(node, location(where.source, key.source()), depth + 1));
  }
  return {std::move(out), std::move(where)};
}

Value convert_list(const toml::array& list, Location where, int depth) {
  Value::Array out;
  for (const auto& node : list) out.push_back(convert(node, location(where.source, node.source()), depth + 1));
  return {std::move(out), std::move(where)};
}

Value convert(const toml::node& node, Location where, int depth) {
  if (depth > max_depth) {
    fail(ErrorKind::config, fmt::format("{}: nested more than {} levels deep", where.str(), max_depth));
  }
  switch (node.type()) {
    case toml::node_type::table: return convert_table(*node.as_table(), std::move(where), depth);
    case toml::node_type::array: return convert_list(*node.as_array(), std::move(where), depth);
    case toml::node_type::string: return {node.as_string()->get(), std::move(where)};
    case toml::node_type::integer: return {node.as_integer()->get(), std::move(where)};
    case toml::node_type::floating_point: return {node.as_floating_point()->get(), std::move(where)};
    case toml::node_type::boolean: return {node.as_boolean()->get(), std::move(where)};
    default: break;
  }
  fail(ErrorKind::config, fmt::format("{}: dates and times are not supported", where.str()),
       "write it in quotes, as a string");
}

// The end of the bare or quoted key that starts at `i`, or `i` if none does.
size_t key_end(std::string_view text, size_t i) {
  if (text[i] != '"' && text[i] != '\'') {
    while (i < text.size() && is_bare(text[i])) ++i;
    return i;
  }
  for (size_t end = i + 1; end < text.size() && text[end] != '\n'; ++end) {
    if (text[end] == text[i]) return end + 1;
    if (text[end] == '\\' && text[i] == '"') ++end;
  }
  return i;
}

size_t skip_blanks(std::string_view text, size_t i) {
  while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) ++i;
  return i;
}

bool is_endless_key(std::string_view text, size_t i) {
  for (size_t parts = 1; i < text.size(); ++parts) {
    const size_t end = key_end(text, i);
    const size_t dot = skip_blanks(text, end);
    if (end == i || dot >= text.size() || text[dot] != '.') return false;
    if (parts >= longest_dotted_key) return true;
    i = skip_blanks(text, dot + 1);
  }
  return false;
}

// toml++ bounds brackets but not dotted keys, and frees its tree by recursion.
bool has_endless_key(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_endless_key(text, i)) return true;
    while (i + 1 < text.size() && is_bare(text[i]) && is_bare(text[i + 1])) ++i;
  }
  return false;
}

// "Error while parsing key-value pair: cannot redefine…" -> " in a key-value pair: cannot redefine…".
std::string in_our_words(std::string_view description) {
  constexpr std::string_view start = "Error while parsing ";
  if (description == "Encountered invalid utf-8 sequence") return ": the bytes are not UTF-8";
  if (!description.starts_with(start)) return fmt::format(": {}", description);
  description.remove_prefix(start.size());
  const bool vowel = std::string_view("aeio").find(description.front()) != std::string_view::npos;
  return fmt::format(" in {} {}", vowel ? "an" : "a", description);
}

std::string syntax_fix(std::string_view description) {
  const auto says = [&](std::string_view part) { return description.find(part) != std::string_view::npos; };
  if (says("control characters")) return "close the quotes on the same line, or write \"\"\" around several lines";
  if (says("could not determine value type") || says("parsing boolean"))
    return "put text in quotes; write true and false in small letters";
  return "";
}

}  // namespace

Value parse_toml(std::string_view text, const std::string& source) {
  const auto shared = std::make_shared<const std::string>(source);
  if (has_endless_key(text)) {
    fail(ErrorKind::config, fmt::format("{}: a dotted key has more than {} parts", source, longest_dotted_key));
  }
  try {
    return convert_table(toml::parse(text, source), {shared, 1, 1}, 0);
  } catch (const toml::parse_error& error) {
    fail(ErrorKind::config,
         fmt::format("{}: not valid TOML{}", location(shared, error.source()).str(), in_our_words(error.description())),
         syntax_fix(error.description()));
  }
}

}  // namespace antiphon::config
