#include <algorithm>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/config/text.h>
#include <antiphon/config/value.h>

#include <fmt/format.h>

namespace antiphon::config {
namespace {

void require_utf8(const std::string& text, const std::string& path) {
  if (!is_utf8(text))
    fail(ErrorKind::config,
         fmt::format("'{}' holds bytes that are not UTF-8, which TOML cannot hold: {}", path, in_quotes(text)));
}

std::string inline_text(const Value& value, const std::string& path) {
  std::vector<std::string> parts;
  if (const auto* list = value.get_if<Value::Array>()) {
    for (const auto& item : *list)
      if (!item.empty()) parts.push_back(inline_text(item, path));
    return fmt::format("[{}]", join(parts, ", "));
  }
  if (const auto* table = value.get_if<Value::Table>()) {
    for (const auto& [key, item] : *table)
      if (!item.empty()) parts.push_back(key_text(key) + " = " + inline_text(item, key_path(path, key)));
    return parts.empty() ? "{}" : fmt::format("{{ {} }}", join(parts, ", "));
  }
  if (const auto* text = value.get_if<std::string>()) require_utf8(*text, path);
  return scalar_text(value);
}

bool is_table(const Value& value) { return value.get_if<Value::Table>() != nullptr; }

bool is_list_of_tables(const Value& value) {
  const auto* list = value.get_if<Value::Array>();
  return list && !list->empty() && std::all_of(list->begin(), list->end(), is_table);
}

void write_body(std::string& out, const Value& table, const std::string& path);

void write_section(std::string& out, const std::string& header, const Value& table, const std::string& path) {
  if (!out.empty()) out += '\n';
  out += header + '\n';
  write_body(out, table, path);
}

// Plain keys come before the sub-tables, whose headers would capture them.
void write_body(std::string& out, const Value& table, const std::string& path) {
  const auto& members = *table.get_if<Value::Table>();
  for (const auto& [key, value] : members) {
    require_utf8(key, key_path(path, key));
    if (value.empty() || is_table(value) || is_list_of_tables(value)) continue;
    out += key_text(key) + " = " + inline_text(value, key_path(path, key)) + '\n';
  }
  for (const auto& [key, value] : members) {
    const std::string inner = key_path(path, key);
    if (is_table(value)) write_section(out, fmt::format("[{}]", inner), value, inner);
    if (!is_list_of_tables(value)) continue;
    for (const auto& item : *value.get_if<Value::Array>())
      write_section(out, fmt::format("[[{}]]", inner), item, inner);
  }
}

}  // namespace

std::string to_toml(const Value& root) {
  if (!is_table(root)) fail(ErrorKind::internal, fmt::format("to_toml wants a table, got {}", in_words(root)));
  std::string out;
  write_body(out, root, "");
  return out;
}

}  // namespace antiphon::config
