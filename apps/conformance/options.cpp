#include <cmath>

#include "subject.h"

namespace antiphon::apps::conformance {
namespace {

config::Value with(const config::Value& options, const std::string& key, config::Value value) {
  auto out = options;
  (*out.get_if<config::Value::Table>())[key] = std::move(value);
  return out;
}

// A value of a type that the field does not take.
config::Value wrong_type(const config::Field& field) {
  return field.type == "string" ? config::Value(config::Value::Array{}) : config::Value("text");
}

bool typed(const config::Field& field) { return field.type != "any"; }

void refuses_unknown_and_wrong(const Subject& subject, const Resolve& resolve) {
  auto options = with(subject.options, "no_such_option", config::Value(1));
  std::vector<std::string> words{"no_such_option"};
  for (const auto& field : subject.entry.schema->fields()) {
    if (!typed(field)) continue;
    options = with(options, field.key, wrong_type(field));
    words.push_back("'" + field.key + "'");
  }
  expect_error(ErrorKind::config, words, [&] { resolve(options); });
}

bool numeric(const config::Field& field) { return field.type == "integer" || field.type == "number"; }

void refuses_out_of_range(const Subject& subject, const Resolve& resolve) {
  const auto refuses = [&](const config::Field& field, config::Value value) {
    expect_error(ErrorKind::config, {field.key}, [&] { resolve(with(subject.options, field.key, std::move(value))); });
  };
  for (const auto& field : subject.entry.schema->fields()) {
    if (!field.rule.choices.empty() && field.type == "string") refuses(field, config::Value("no such choice"));
    if (!numeric(field)) continue;
    const bool whole = field.type == "integer";
    const auto value = [&](double x) { return whole ? config::Value(static_cast<int64_t>(x)) : config::Value(x); };
    if (std::isfinite(field.rule.min)) refuses(field, value(field.rule.min - 1));
    if (std::isfinite(field.rule.max)) refuses(field, value(field.rule.max + 1));
  }
}

void resolves_to_itself(const Subject& subject, const Resolve& resolve) {
  const auto once = resolve(subject.options);
  expect(once.get_if<config::Value::Table>() != nullptr, "expected a table of the options in force, got {}",
         once.type_name());
  expect(config::same(once, resolve(once)), "expected the options in force to give themselves again");
}

}  // namespace

void expect_error(ErrorKind kind, const std::vector<std::string>& words, const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    const std::string text = error.what();
    expect(error.kind() == kind, "expected an error of kind '{}', got '{}': {}", to_string(kind),
           to_string(error.kind()), text);
    for (const auto& word : words)
      expect(text.find(word) != std::string::npos, "expected an error that names {}, got: {}", word, text);
    return;
  }
  throw Unmet{fmt::format("expected an error of kind '{}', got none", to_string(kind))};
}

bool check_options(Report& report, const Subject& subject, const Resolve& resolve) {
  if (!report.check("options: it builds from those given", [&] { resolve(subject.options); })) return false;
  report.check("options: an unknown key and every wrong type are refused, all at once and by name",
               [&] { refuses_unknown_and_wrong(subject, resolve); });
  report.check("options: values out of range are refused by name", [&] { refuses_out_of_range(subject, resolve); });
  report.check("options: those in force build the same again", [&] { resolves_to_itself(subject, resolve); });
  return true;
}

}  // namespace antiphon::apps::conformance
