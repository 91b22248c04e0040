#include <inspect/print_options.h>

#include <fmt/format.h>

#include <cmath>

#include <antiphon/base/strings.h>

namespace antiphon::apps {
namespace {

using config::Field;
using config::Rule;
using config::Schema;
using config::Value;

// Wide enough for most "key = default"; a longer one has its explanation on the next line.
constexpr size_t column = 34;

std::string number(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15 ? fmt::format("{}", static_cast<int64_t>(value))
                                                              : fmt::format("{}", value);
}

std::string range(const Rule& rule) {
  const bool low = std::isfinite(rule.min), high = std::isfinite(rule.max);
  if (low && high && !rule.above_min) return fmt::format("{} to {}", number(rule.min), number(rule.max));
  std::string text;
  if (low) text = fmt::format("{} {}", rule.above_min ? "above" : "at least", number(rule.min));
  if (high) text += fmt::format("{}at most {}", low ? ", " : "", number(rule.max));
  return text;
}

std::string traits(const Field& field) {
  std::vector<std::string> all;
  if (field.rule.required) all.push_back("required");
  if (field.rule.choices.empty() && field.type != "any") all.push_back(field.type);
  if (!field.rule.choices.empty())
    all.push_back((field.type.starts_with("list") ? "list of " : "") + join(field.rule.choices, " | "));
  if (const auto text = range(field.rule); !text.empty()) all.push_back(text);
  return join(all, ", ");
}

void print_field(const Field& field, const Value* value) {
  const std::string left = value ? fmt::format("{} = {}", field.key, config::to_json(*value, -1)) : field.key;
  const auto extra = traits(field);
  const std::string right = extra.empty() ? field.doc : fmt::format("{} ({})", field.doc, extra);
  if (left.size() <= column)
    fmt::print("  {:<{}}  {}\n", left, column, right);
  else
    fmt::print("  {}\n  {:<{}}  {}\n", left, "", column, right);
}

// How the header of a nested table is written in TOML.
std::string header(const Field& field, const std::string& path) {
  if (field.type == "list of table") return fmt::format("[[{}]]", path);
  return fmt::format("[{}]", path);
}

void print_tables(const Schema& schema, const Value& defaults, const std::string& section) {
  for (const auto& field : schema.fields())
    if (!field.nested) print_field(field, defaults.find(field.key));
  for (const auto& field : schema.fields()) {
    if (!field.nested) continue;
    const std::string path =
        (section.empty() ? "" : section + ".") + field.key + (field.type == "map of table" ? ".NAME" : "");
    fmt::print("\n{}  {}{}\n", header(field, path), field.doc, field.rule.required ? " (required)" : "");
    // The defaults of a nested table are those of the member that holds it, which may differ from its type's own.
    const Value* held = field.type == "table" ? defaults.find(field.key) : nullptr;
    print_tables(*field.nested, held ? *held : field.nested->defaults(), path);
  }
}

}  // namespace

void print_options(const Schema& schema) { print_tables(schema, schema.defaults(), ""); }

}  // namespace antiphon::apps
