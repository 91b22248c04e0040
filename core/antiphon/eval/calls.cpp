#include <antiphon/eval/calls.h>

#include <nlohmann/json.hpp>

#include <antiphon/base/json.h>
#include <antiphon/component/written_calls.h>
#include <antiphon/eval/evaluate.h>
#include <antiphon/eval/json_schema.h>
#include <antiphon/eval/normalizer.h>

#include <algorithm>

namespace antiphon::eval {
namespace {

using nlohmann::json;

std::string task_of(const Sample& sample) {
  const auto tag = sample.tags.find("task");
  return tag == sample.tags.end() ? "" : tag->second;
}

}  // namespace

bool valid_calls(const json& calls, const json& tools) {
  if (!calls.is_array() || calls.empty() || !tools.is_array()) return false;
  return std::ranges::all_of(calls, [&](const json& call) {
    return std::ranges::any_of(tools, [&](const json& tool) {
      if (!tool.is_object()) return false;
      const auto& inner = tool.contains("function") && tool["function"].is_object() ? tool["function"] : tool;
      return inner.contains("name") && inner["name"] == call["name"] &&
             conforms(call["arguments"], inner.value("parameters", json(true)));
    });
  });
}

bool refuses(std::string_view answer, const std::vector<std::string>& phrases) {
  const auto plain = normalize_answer(answer);
  return std::ranges::any_of(phrases, [&](const auto& phrase) {
    const auto begin = normalize_answer(phrase);
    return plain.starts_with(begin) && (plain.size() == begin.size() || plain[begin.size()] == ' ');
  });
}

CallMetrics call_metrics(const Sample& sample, const std::string& predicted, const EvalOptions& options,
                         bool judges_refusals) {
  const auto task = task_of(sample);
  const bool refused = refuses(predicted, options.refusals);
  CallMetrics metrics;
  if (task == "tool_call") {
    const auto calls = calls_in(predicted);
    metrics["call_accuracy"] = {!calls.is_null() && calls == expected_calls(sample, expected_answer(sample)), 1};
    if (!sample.tools.empty()) metrics["schema_validity"] = {valid_calls(calls, parse_json(sample.tools)), 1};
  }
  if (task == "refusal")
    metrics["refusal_rate"] = {refused, 1};
  else if (judges_refusals)
    metrics["over_refusal"] = {refused, 1};
  return metrics;
}

bool asks_for_refusals(const std::vector<Sample>& samples) {
  return std::ranges::any_of(samples, [](const auto& sample) { return task_of(sample) == "refusal"; });
}

}  // namespace antiphon::eval
