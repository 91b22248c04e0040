#include <antiphon/data/attributes.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

namespace antiphon::data {
namespace {

constexpr double kMissingAttribute = -100;
using AttributeValues = std::map<std::string, double>;

[[noreturn]] void refuse_label(const std::string& label, const std::string& why) {
  fail(ErrorKind::data, fmt::format("the label '{}' of an answer {}", shown(label, 80), why),
       "write it as \"quality:4,toxicity:0\" or as {\"quality\": 4, \"toxicity\": 0}");
}

std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  return read.ec == std::errc() && read.ptr == end && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

AttributeValues of_object(const std::string& label) {
  const auto object = nlohmann::ordered_json::parse(label, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) refuse_label(label, "is no JSON object");
  AttributeValues values;
  for (const auto& [name, value] : object.items()) {
    if (value.is_null()) continue;
    if (!value.is_number()) refuse_label(label, fmt::format("gives '{}' a value that is no number", shown(name)));
    values[name] = value.get<double>();
  }
  return values;
}

AttributeValues of_text(const std::string& label) {
  AttributeValues values;
  for (const auto& pair : split(label, ',')) {
    const auto colon = pair.rfind(':');
    const auto value =
        colon == std::string::npos ? std::nullopt : number_in(trim(std::string_view(pair).substr(colon + 1)));
    if (!value) refuse_label(label, fmt::format("has '{}' for a name and its number", shown(pair)));
    if (!values.emplace(trim(std::string_view(pair).substr(0, colon)), *value).second)
      refuse_label(label, fmt::format("gives '{}' twice", shown(pair.substr(0, colon))));
  }
  return values;
}

std::string in_order(const std::vector<std::string>& names, const AttributeValues& values) {
  std::vector<std::string> pairs;
  for (const auto& name : names)
    if (const auto value = values.find(name); value != values.end() && value->second != kMissingAttribute)
      pairs.push_back(fmt::format("{}:{}", name, value->second));
  return join(pairs, ",");
}

void add_line(SampleTurn& turn, const std::string& line) {
  turn.parts.push_back({(turn.parts.empty() ? "" : "\n") + line});
}

}  // namespace

const config::Table<AttributeOptions>& attributes_table() {
  using O = AttributeOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("attributes")
          .field("names", &O::names,
                 "attributes that the labels of answers give numbers, in the order in which the model is told them: "
                 "[\"quality\", \"toxicity\"]; none: labels are not told")
          .field("place", &O::place,
                 "where they are told: in a line that opens the answer and is not learnt, or in the last line of the "
                 "user's or the system's turn",
                 {.choices = {"assistant", "user", "system"}}));
  return *table;
}

void check_attributes(const AttributeOptions& options, config::Problems& problems) {
  std::set<std::string> seen;
  for (const auto& name : options.names) {
    if (name.empty() || name != trim(name) || name.find_first_of(":,{}\n") != std::string::npos)
      problems.add({}, fmt::format("data.attributes.names has '{}', which a label cannot name", shown(name)),
                   "name attributes by a word without : , { }");
    if (!seen.insert(name).second)
      problems.add({}, fmt::format("data.attributes.names has '{}' twice", shown(name)), "take one of them out");
  }
}

void check_asked(const AttributeOptions& options, const config::Value& asked, config::Problems& problems) {
  const auto* table = asked.get_if<config::Value::Table>();
  if (!table)
    return problems.add(asked.where, fmt::format("generate.attributes is a {}; expected a table", asked.type_name()),
                        "write attribute = number: generate.attributes = { quality = 4 }");
  for (const auto& [name, value] : *table) {
    if (std::ranges::count(options.names, name) == 0)
      problems.add(value.where,
                   fmt::format("generate.attributes has '{}'; data.attributes.names has {}", shown(name),
                               options.names.empty() ? "none" : join(options.names, ", ")),
                   "ask for attributes that the model was told in training");
    if (!value.get_if<int64_t>() && !value.get_if<double>())
      problems.add(value.where,
                   fmt::format("generate.attributes.{} is {}; expected a number", shown(name),
                               shown(config::to_json(value, -1), 40)),
                   "write attribute = number: generate.attributes = { quality = 4 }");
  }
}

Attributes::Attributes(const AttributeOptions& options, const config::Value& asked) : options_(options) {
  config::Problems problems;
  check_attributes(options, problems);
  check_asked(options, asked, problems);
  problems.throw_if_any();
  AttributeValues values;
  for (const auto& [name, value] : *asked.get_if<config::Value::Table>())
    values[name] = value.get_if<double>() ? *value.get_if<double>() : static_cast<double>(*value.get_if<int64_t>());
  asked_ = in_order(options_.names, values);
}

std::string Attributes::told(const std::string& label) const {
  const auto values = trim(label).starts_with('{') ? of_object(label) : of_text(label);
  for (const auto& [name, value] : values)
    if (std::ranges::count(options_.names, name) == 0)
      refuse_label(label,
                   fmt::format("has '{}'; data.attributes.names has {}", shown(name), join(options_.names, ", ")));
  return in_order(options_.names, values);
}

void Attributes::tell(std::vector<SampleTurn>& turns) const {
  std::map<size_t, std::string> lines;  // by the turn that they are told in
  for (size_t i = 0; i < turns.size(); ++i) {
    if (turns[i].role != "assistant" || turns[i].label.empty()) continue;
    const auto line = told(turns[i].label);
    if (line.empty()) continue;
    if (options_.place == "assistant") {
      turns[i].given = line + "\n";
      continue;
    }
    size_t place = options_.place == "user" ? i : turns.size();
    while (place > 0 && turns[place - 1].role != options_.place) --place;
    if (place == 0 && options_.place == "user")
      fail(ErrorKind::data, "no user turn stands before an answer that has a label",
           "give data.attributes.place = \"assistant\"");
    if (const auto known = lines.emplace(place, line).first; known->second != line)
      fail(ErrorKind::data,
           fmt::format("one {} turn stands for answers of the labels '{}' and '{}'", options_.place,
                       shown(known->second, 80), shown(line, 80)),
           "give data.attributes.place = \"assistant\", or one label to both");
  }
  for (const auto& [place, line] : lines) {
    if (place == 0) turns.insert(turns.begin(), {"system", {}});
    add_line(turns[place == 0 ? 0 : place - 1], line);
  }
}

std::string Attributes::describe() const {
  return any() ? fmt::format("attributes {} of the {}", join(options_.names, ", "), options_.place) : "";
}

}  // namespace antiphon::data
