#include <algorithm>
#include <charconv>
#include <optional>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/config/text.h>
#include <antiphon/config/value.h>

#include <fmt/format.h>

namespace antiphon::config {
namespace {

[[noreturn]] void bad_set(const std::string& assignment, const std::string& why, std::string fix = {}) {
  fail(ErrorKind::config, fmt::format("--set {}: {}", assignment, why), std::move(fix));
}

// The '=' that ends the key; quotes in the key hide others.
size_t key_end(const std::string& text) {
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quote ? text[i] == quote : text[i] == '"' || text[i] == '\'') {
      quote = quote ? 0 : text[i];
    } else if (!quote && text[i] == '=') {
      return i;
    }
  }
  return std::string::npos;
}

// TOML's own rules for keys, quotes and escapes: the key is read as a table of one path.
std::vector<std::string> key_parts(const std::string& assignment, const std::string& key) {
  const auto bad = [&] {
    bad_set(assignment, fmt::format("{} is not a key", in_quotes(key)), "write it like train.steps=100 or a.0.b=c");
  };
  if (key.find_first_of("\r\n") != std::string::npos) bad();  // else the text could hold more than one key
  Value tree;
  try {
    tree = parse_toml(key + " = 0", "--set");
  } catch (const Error&) {
    bad();
  }
  std::vector<std::string> parts;
  for (const Value* at = &tree; const auto* table = at->get_if<Value::Table>(); at = &table->begin()->second) {
    if (table->size() != 1) bad();
    parts.push_back(table->begin()->first);
  }
  return parts;
}

// Inside an inline table neither a comment nor a second line can hide a part of the text.
std::optional<Value> toml_value(const std::string& text) {
  try {
    Value tree = parse_toml("v = {v = " + text + "}", "--set");
    const Value* outer = tree.find("v");
    const bool single = tree.get_if<Value::Table>()->size() == 1 && outer->get_if<Value::Table>()->size() == 1;
    if (single) return *outer->find("v");
  } catch (const Error&) {
  }
  return std::nullopt;
}

void relocate(Value& value, const Location& where) {
  value.where = where;
  if (auto* list = value.get_if<Value::Array>()) {
    for (auto& item : *list) relocate(item, where);
  } else if (auto* table = value.get_if<Value::Table>()) {
    for (auto& [key, item] : *table) relocate(item, where);
  }
}

Value read_value(const std::string& assignment, const std::string& text) {
  if (!is_utf8(text)) bad_set(assignment, "the value is not UTF-8 text");
  if (auto value = toml_value(text)) return *value;
  if (!text.empty() && std::string_view("\"'[{").find(text.front()) != std::string_view::npos) {
    bad_set(assignment, fmt::format("{} is not a TOML value", in_quotes(text)),
            "close quotes and brackets; inside a shell, quote the whole assignment");
  }
  return Value(text);
}

Value& element(Value::Array& list, const std::string& part, const std::string& path, const std::string& assignment) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  if (error != std::errc() || end != part.data() + part.size()) {
    bad_set(assignment, fmt::format("'{}' is a list, and '{}' is not an index into it", path, part),
            fmt::format("write {}.0", path));
  }
  if (index >= list.size())
    bad_set(assignment, fmt::format("'{}' has {} element(s); there is no index {}", path, list.size(), part));
  return list[index];
}

Value& step(Value& at, const std::string& part, const std::string& path, const Location& where,
            const std::string& assignment) {
  if (at.empty()) at = Value(Value::Table{}, where);
  if (auto* list = at.get_if<Value::Array>()) return element(*list, part, path, assignment);
  auto* table = at.get_if<Value::Table>();
  if (table) return (*table)[part];
  const std::string written = at.where.source ? fmt::format(" ({})", at.where.str()) : "";
  bad_set(assignment, fmt::format("'{}' is {}{}, so it has no '{}'", path, in_words(at), written, part));
}

}  // namespace

void apply_set(Value& root, const std::string& assignment) {
  const size_t equals = key_end(assignment);
  if (equals == std::string::npos) bad_set(assignment, "there is no '='", "write it like --set train.steps=100");
  const std::string key(trim(std::string_view(assignment).substr(0, equals)));
  const auto parts = key_parts(assignment, key);
  Value value = read_value(assignment, std::string(trim(std::string_view(assignment).substr(equals + 1))));
  const Location where{std::make_shared<const std::string>("--set " + key), 0, 0};
  relocate(value, where);
  // Works on a copy, so that a path that fails half-way leaves no tables behind.
  Value changed = root;
  Value* at = &changed;
  std::string path;
  for (const auto& part : parts) {
    at = &step(*at, part, path, where, assignment);
    path = key_path(path, part);
  }
  *at = std::move(value);
  root = std::move(changed);
}

}  // namespace antiphon::config
