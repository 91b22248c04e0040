#include <algorithm>
#include <cmath>

#include <antiphon/base/error.h>
#include <antiphon/base/names.h>
#include <antiphon/base/strings.h>
#include <antiphon/config/keys.h>
#include <antiphon/config/schema.h>
#include <antiphon/config/schema_read.h>
#include <antiphon/config/text.h>

#include <fmt/format.h>

namespace antiphon::config {
namespace {

// " in [model.llm]", or " at the top level".
std::string in_section(const std::string& section) {
  return section.empty() ? " at the top level" : fmt::format(" in [{}]", section);
}

std::string subject_of(const std::string& key, const std::string& section) {
  return fmt::format("'{}'{}", key, in_section(section));
}

std::string subject(const detail::Place& place) { return subject_of(place.key, place.section); }

void report_type(const Value& value, std::string_view wanted, const std::string& what, Problems& problems) {
  problems.add(value.where, fmt::format("{} must be {}, got {}", what, wanted, in_words(value)));
}

std::string range_text(const Rule& rule, double value) {
  if (std::isinf(value) && !std::isfinite(rule.max)) return "a finite number";
  const bool low = std::isfinite(rule.min), high = std::isfinite(rule.max);
  const std::string from =
      low ? fmt::format("{} {}", rule.above_min ? "above" : "at least", number_text(rule.min)) : "";
  const std::string to = high ? "at most " + number_text(rule.max) : "";
  if (!low && !high) return "a finite number";
  return from + (low && high ? " and " : "") + to;
}

// nan and infinities are outside of every range, also of one without bounds.
bool in_range(double value, const Rule& rule, const Value& written, const detail::Place& place, Problems& problems) {
  const bool above = rule.above_min ? value > rule.min : value >= rule.min;
  if (above && value <= rule.max && std::isfinite(value)) return true;
  problems.add(written.where,
               fmt::format("{} must be {}, got {}", subject(place), range_text(rule, value), scalar_text(written)));
  return false;
}

bool is_choice(const std::string& text, const Value& written, const detail::Place& place, Problems& problems) {
  const auto& choices = place.rule->choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), text) != choices.end()) return true;
  const std::string near = nearest(text, choices);
  const std::string hint = near.empty() ? "" : fmt::format("; did you mean {}?", in_quotes(near));
  problems.add(written.where, fmt::format("{} must be one of {}; got {}{}", subject(place), join(choices, ", "),
                                          in_words(written), hint));
  return false;
}

void remove_required(Value& table, const Schema& schema) {
  for (const auto& field : schema.fields()) {
    auto& members = *table.get_if<Value::Table>();
    const auto found = members.find(field.key);
    if (found == members.end()) continue;
    if (field.nested && field.type == "table") {
      remove_required(found->second, *field.nested);  // a required table still has members with defaults
    } else if (field.rule.required) {
      members.erase(found);
    }
  }
}

// A bound in the type of its field.
Value bound_value(double bound, const Field& field) {
  const bool whole = field.type.ends_with("integer") && std::abs(bound) < 1e15;
  return whole ? Value(static_cast<int64_t>(bound)) : Value(bound);
}

Value describe_fields(const Schema& schema, const Value& defaults);

// The defaults of a nested table are those of the member that holds it, which may differ from its type's own.
Value describe_field(const Field& field, const Value& defaults) {
  Value::Table out{{"key", field.key}, {"type", field.type}, {"doc", field.doc}};
  if (field.rule.required) out["required"] = true;
  if (std::isfinite(field.rule.min)) out[field.rule.above_min ? "above" : "min"] = bound_value(field.rule.min, field);
  if (std::isfinite(field.rule.max)) out["max"] = bound_value(field.rule.max, field);
  if (!field.rule.choices.empty())
    out["choices"] = detail::leaf_type<std::vector<std::string>>().write(&field.rule.choices);
  const Value* value = defaults.find(field.key);
  const bool table = field.nested && field.type == "table";
  if (field.nested) out["fields"] = table && value ? describe_fields(*field.nested, *value) : field.nested->describe();
  if (value && !table) out["default"] = *value;
  if (!value && !field.nested && !field.rule.required) out["optional"] = true;  // it may stay unset
  return Value(std::move(out));
}

Value describe_fields(const Schema& schema, const Value& defaults) {
  Value::Array out;
  for (const auto& field : schema.fields()) out.push_back(describe_field(field, defaults));
  return Value(std::move(out));
}

}  // namespace

namespace detail {

bool read(const Value& value, bool& out, const Place& place, Problems& problems) {
  const auto* flag = value.get_if<bool>();
  if (!flag) return report_type(value, "true or false", subject(place), problems), false;
  out = *flag;
  return true;
}

bool read(const Value& value, int64_t& out, const Place& place, Problems& problems) {
  const auto* integer = value.get_if<int64_t>();
  if (!integer) return report_type(value, "an integer", subject(place), problems), false;
  if (!in_range(static_cast<double>(*integer), *place.rule, value, place, problems)) return false;
  out = *integer;
  return true;
}

bool read(const Value& value, double& out, const Place& place, Problems& problems) {
  const auto* integer = value.get_if<int64_t>();
  const auto* number = value.get_if<double>();
  if (!integer && !number) return report_type(value, "a number", subject(place), problems), false;
  const double read_out = integer ? static_cast<double>(*integer) : *number;
  if (!in_range(read_out, *place.rule, value, place, problems)) return false;
  out = read_out;
  return true;
}

bool read(const Value& value, std::string& out, const Place& place, Problems& problems) {
  const auto* text = value.get_if<std::string>();
  if (!text) return report_type(value, "a string", subject(place), problems), false;
  if (!is_choice(*text, value, place, problems)) return false;
  out = *text;
  return true;
}

bool read(const Value& value, Value& out, const Place&, Problems&) {
  out = Value(value);
  return true;
}

const Value::Array* read_list(const Value& value, const std::string& key, const std::string& section,
                              Problems& problems) {
  const auto* list = value.get_if<Value::Array>();
  if (!list) report_type(value, "a list", subject_of(key, section), problems);
  return list;
}

const Value::Table* read_map(const Value& value, const std::string& key, const std::string& section,
                             Problems& problems) {
  const auto* table = value.get_if<Value::Table>();
  if (!table) return report_type(value, "a table", subject_of(key, section), problems), nullptr;
  for (const auto& [name, member] : *table)
    if (!is_readable_name(name))
      problems.add(member.where, fmt::format("{} cannot be a name in {}", in_quotes(name), subject_of(key, section)),
                   name_rule());
  return table;
}

std::string section_of(const std::string& section, const std::string& key) { return key_path(section, key); }
std::string section_of(const std::string& section, const std::string& key, size_t index) {
  return fmt::format("{}.{}", key_path(section, key), index);
}

}  // namespace detail

Schema::~Schema() = default;

void Schema::add(Field field) {
  const bool twice =
      std::any_of(fields_.begin(), fields_.end(), [&](const Field& other) { return other.key == field.key; });
  if (twice) fail(ErrorKind::internal, fmt::format("the table '{}' declares the key '{}' twice", name_, field.key));
  fields_.push_back(std::move(field));
}

void Schema::add_leaf(std::string_view key, const detail::LeafType& type, Access member, std::string_view doc,
                      const Rule& rule) {
  Field field{std::string(key), type.name, std::string(doc), rule};
  field.set = [member, &type, key = field.key, rule](void* object, const Value& value, const std::string& section,
                                                     Problems& problems) {
    type.read(value, member(object), key, section, rule, problems);
  };
  field.get = [member, &type](const void* object) { return type.write(member(const_cast<void*>(object))); };
  add(std::move(field));
}

std::string Schema::described(const std::string& section) const { return config::described(*this, section); }

void Schema::report_unknown(const std::string& key, const Location& where, const std::string& section,
                            Problems& problems) const {
  config::report_unknown(*this, {}, key, where, section, problems);
}

void Schema::read(void* object, const Value& table, const std::string& section, Problems& problems) const {
  const auto* members = table.get_if<Value::Table>();
  if (!members) {
    const std::string what = section.empty() ? "the top level" : fmt::format("[{}]", section);
    return report_type(table, "a table", what + (name_.empty() ? "" : fmt::format(" ({})", name_)), problems);
  }
  const auto meant = misspelt(*this, *members);
  const auto is_meant = [&](const std::string& key) {
    return std::any_of(meant.begin(), meant.end(), [&](const auto& pair) { return pair.second == key; });
  };
  for (const auto& field : fields_) {
    const auto found = members->find(field.key);
    if (found != members->end()) {
      if (field.type == "map of table") suggest_entries(field, found->second, section, problems);
      field.set(object, found->second, section, problems);
    } else if (is_meant(field.key)) {
      continue;  // reported with the unknown keys
    } else if (field.rule.required) {
      problems.add(table.where,
                   fmt::format("the required key '{}' is missing{}: {}", field.key, described(section), field.doc));
    } else if (field.nested && field.type == "table") {
      field.set(object, Value(Value::Table{}, table.where), section, problems);  // reports its required keys
    }
  }
  Value* rest = rest_ ? rest_(object) : nullptr;
  if (rest) *rest = Value(Value::Table{}, table.where);
  for (const auto& [key, value] : *members) {
    const bool known =
        std::any_of(fields_.begin(), fields_.end(), [&key = key](const Field& field) { return field.key == key; });
    if (known) continue;
    if (rest && !meant.contains(key)) {
      (*rest->get_if<Value::Table>())[key] = value;
    } else {
      report_unknown(key, value.where, section, problems);
    }
  }
}

Value Schema::dump(const void* object) const {
  Value::Table out;
  for (const auto& field : fields_) {
    Value value = field.get(object);
    if (!value.empty()) out[field.key] = std::move(value);
  }
  if (rest_) {
    const Value* rest = rest_(const_cast<void*>(object));  // only read
    if (const auto* members = rest->get_if<Value::Table>()) out.insert(members->begin(), members->end());
  }
  return Value(std::move(out));
}

Value Schema::without_required(Value defaults) const {
  remove_required(defaults, *this);
  return defaults;
}

Value Schema::describe() const { return describe_fields(*this, defaults()); }

}  // namespace antiphon::config
