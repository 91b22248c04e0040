#include <antiphon/config/expectation.h>
#include <antiphon/config/text.h>

#include <antiphon/base/strings.h>

#include <fmt/format.h>

#include <cmath>

namespace antiphon::config {
namespace {

std::string range(const Rule& rule) {
  const bool low = std::isfinite(rule.min), high = std::isfinite(rule.max);
  if (low && high && !rule.above_min)
    return fmt::format(" from {} to {}", number_text(rule.min), number_text(rule.max));
  const auto from = low ? fmt::format(" {} {}", rule.above_min ? "above" : "of at least", number_text(rule.min)) : "";
  return from + (high ? fmt::format("{} {}", low ? " and at most" : " of at most", number_text(rule.max)) : "");
}

std::string words(const std::string& type, const Rule& rule) {
  if (type.starts_with("list of ")) return "a list, each element " + words(type.substr(8), rule);
  if (type == "boolean") return "true or false";
  if (type == "string") return rule.choices.empty() ? "a string" : "one of " + join(rule.choices, ", ");
  return (type == "integer" ? "an integer" : "a number") + range(rule);
}

}  // namespace

std::string expectation(const Field& field) { return words(field.type, field.rule); }

}  // namespace antiphon::config
