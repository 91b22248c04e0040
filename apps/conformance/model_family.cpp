#include <antiphon/base/strings.h>

#include <set>

#include <antiphon/component/model_family.h>

#include "subject.h"

namespace antiphon::apps::conformance {
namespace {

bool has_slot(const WholePart& part) {
  const auto& slot = part.slot;
  return part.is_language_model() || slot == "head" ||
         (slot.starts_with("streams.") && (part.is_encoder() || slot.ends_with(".connector")));
}

void parts_are_told_apart(const std::vector<WholePart>& parts) {
  expect(!parts.empty(), "expected parts, got none");
  std::set<std::string> names, slots;
  for (const auto& part : parts) {
    expect(names.insert(part.name).second, "expected each name once, got '{}' twice", part.name);
    expect(slots.insert(part.slot).second, "expected each slot once, got '{}' twice", part.slot);
    expect(has_slot(part), "expected llm, head, or streams.NAME.encoder or .connector, got '{}'", part.slot);
    expect(!part.names.empty(), "expected rules for the names of '{}', got none", part.name);
  }
  expect(slots.contains("llm"), "expected a part for the language model, got {}",
         join({slots.begin(), slots.end()}, ", "));
}

std::string filled(std::string pattern) {
  for (size_t hole; (hole = pattern.find("{}")) != std::string::npos;) pattern.replace(hole, 2, "x.7.weight");
  return pattern;
}

// A name of the whole checkpoint belongs to one part only, and what is written is read back.
void names_go_both_ways(const std::vector<WholePart>& parts) {
  for (const auto& part : parts) {
    const NameMap own{part.names, {}, {}};
    for (const auto& rule : part.names) {
      const auto whole = filled(rule.checkpoint), name = filled(rule.parameter);
      expect(own.to_parameter(whole) == name, "'{}' of {}: expected '{}', got '{}'", whole, part.name, name,
             own.to_parameter(whole).value_or("nothing"));
      const auto written = own.to_checkpoint(name);
      expect(written && own.to_parameter(*written) == name, "'{}' of {} is written under a name that is not read back",
             name, part.name);
      for (const auto& other : parts)
        expect(other.name == part.name || !NameMap{other.names, {}, {}}.to_parameter(whole),
               "'{}' belongs to {} and to {}", whole, part.name, other.name);
    }
  }
}

void refuses_an_empty_config(const ModelFamily& family) {
  PretrainedConfig pretrained;
  pretrained.config = JsonTable(nlohmann::json::object());
  try {
    family.compose(pretrained, "nowhere");
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::weights || error.kind() == ErrorKind::plugin,
           "expected an error of weights or plugin, got {}", to_string(error.kind()));
    return;
  }
  throw Unmet{"expected a refusal of a config.json without parts, got a composition"};
}

void check_model_family(Report& report, const Subject& subject) {
  const auto family = build<ModelFamily>(subject);
  const auto parts = family->parts();
  report.check("parts: names, slots and rules, each once", [&] { parts_are_told_apart(parts); });
  report.check("names: each of one part, the same both ways", [&] { names_go_both_ways(parts); });
  report.check("compose: a config.json without parts is refused", [&] { refuses_an_empty_config(*family); });
}

const KindChecks registered{KindOf<ModelFamily>::name, check_model_family};

}  // namespace
}  // namespace antiphon::apps::conformance
