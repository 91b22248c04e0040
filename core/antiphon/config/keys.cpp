#include <antiphon/config/keys.h>

#include <algorithm>

#include <antiphon/base/strings.h>
#include <antiphon/config/text.h>

#include <fmt/format.h>

namespace antiphon::config {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool is_incomplete(const Schema& schema, const Value::Table& table) {
  return std::any_of(schema.fields().begin(), schema.fields().end(),
                     [&](const Field& field) { return field.rule.required && !table.contains(field.key); });
}

}  // namespace

std::vector<std::string> keys_of(const Schema& schema) {
  std::vector<std::string> keys;
  for (const auto& field : schema.fields()) keys.push_back(field.key);
  return keys;
}

std::string described(const Schema& schema, const std::string& section) {
  if (section.empty()) return " at the top level";
  const auto& name = schema.name();
  const bool said = name.empty() || ends_in(section, name);
  return fmt::format(" in [{}]", section) + (said ? "" : fmt::format(" ({})", name));
}

void report_unknown(const Schema& schema, const std::vector<std::string>& beside, const std::string& key,
                    const Location& where, const std::string& section, Problems& problems) {
  auto known = keys_of(schema);
  known.insert(known.end(), beside.begin(), beside.end());
  const std::string near = nearest(key, known);
  const std::string hint = near.empty() ? "" : fmt::format("did you mean '{}'? ", near);
  std::sort(known.begin(), known.end());
  const std::string list = known.empty() ? "there are no keys here" : "known: " + join(known, ", ");
  problems.add(where, fmt::format("unknown key '{}'{}; {}{}", key, described(schema, section), hint, list));
}

Value without_unknown(const Schema& schema, const std::vector<std::string>& beside, const Value& table,
                      const std::string& section, Problems& problems) {
  Value rest = table;
  auto* members = rest.get_if<Value::Table>();
  if (!members) return rest;
  const auto own = keys_of(schema);
  std::erase_if(*members, [&](const auto& member) {
    const bool known = contains(own, member.first) || contains(beside, member.first);
    if (!known) report_unknown(schema, beside, member.first, member.second.where, section, problems);
    return !known;
  });
  return rest;
}

std::map<std::string, std::string> misspelt(const Schema& schema, const Value::Table& table) {
  std::map<std::string, std::string> meant;
  if (!is_incomplete(schema, table)) return meant;
  const auto known = keys_of(schema);
  for (const auto& [key, value] : table) {
    if (contains(known, key)) continue;
    const std::string near = nearest(key, known);
    if (!near.empty() && !table.contains(near)) meant[key] = near;
  }
  return meant;
}

void suggest_entries(const Field& field, const Value& map, const std::string& section, Problems& problems) {
  const auto* entries = map.get_if<Value::Table>();
  if (!entries) return;
  for (const auto& [name, value] : *entries) {
    const auto* entry = value.get_if<Value::Table>();
    if (!entry || !is_incomplete(*field.nested, *entry)) continue;
    std::vector<std::string> others;
    for (const auto& [other, ignored] : *entries)
      if (other != name) others.push_back(other);
    const std::string near = nearest(name, others);
    if (!near.empty())
      problems.add(value.where, fmt::format("'{}' in [{}] is not whole; did you mean '{}'?", name,
                                            key_path(section, field.key), near));
  }
}

}  // namespace antiphon::config
