#include <antiphon/eval/calls.h>

#include <nlohmann/json.hpp>

#include <antiphon/base/json.h>
#include <antiphon/base/strings.h>
#include <antiphon/eval/evaluate.h>
#include <antiphon/eval/json_schema.h>
#include <antiphon/eval/normalizer.h>

#include <algorithm>

namespace antiphon::eval {
namespace {

using nlohmann::json;

constexpr std::string_view kBegin = "<tool_call>", kEnd = "</tool_call>";
constexpr std::string_view kMarks[] = {"<|python_tag|>", "[TOOL_CALLS]"};  // of Llama 3, of Mistral

json parsed_or_null(std::string_view text) {
  JsonProblem problem;
  auto value = parse_json(text, problem);
  return problem.problem.empty() ? value : json();
}

// {"name", "arguments"} of a call as it is written, or of {"function": {…}}; null if it is none. Llama 3 calls the
// arguments parameters.
json call_of(const json& value) {
  if (!value.is_object()) return nullptr;
  const auto& inner = value.contains("function") && value["function"].is_object() ? value["function"] : value;
  if (!inner.contains("name") || !inner["name"].is_string()) return nullptr;
  auto arguments = inner.value(inner.contains("arguments") ? "arguments" : "parameters", json::object());
  if (arguments.is_string())
    if (auto said = parsed_or_null(arguments.get<std::string>()); said.is_object()) arguments = std::move(said);
  return {{"name", inner["name"]}, {"arguments", std::move(arguments)}};
}

json calls_of(const json& value) {
  auto calls = json::array();
  for (const auto& one : value.is_array() ? value : json::array({value})) {
    calls.push_back(call_of(one));
    if (calls.back().is_null()) return nullptr;
  }
  return calls.empty() ? json() : calls;
}

// Between <tool_call> and </tool_call>; null if one of them is none.
json tagged_calls(std::string_view text) {
  auto calls = json::array();
  for (auto at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin, at)) {
    at += kBegin.size();
    const auto stop = text.find(kEnd, at);
    calls.push_back(call_of(parsed_or_null(trim(text.substr(at, stop == text.npos ? stop : stop - at)))));
    if (calls.back().is_null()) return nullptr;
  }
  return calls;
}

json expected_calls(const Sample& sample) {
  const auto last = std::ranges::find_if(sample.turns.rbegin(), sample.turns.rend(),
                                         [](const auto& turn) { return turn.role == "assistant"; });
  if (last != sample.turns.rend() && !last->tool_calls.empty()) return calls_of(parsed_or_null(last->tool_calls));
  return calls_in(expected_answer(sample));
}

std::string task_of(const Sample& sample) {
  const auto tag = sample.tags.find("task");
  return tag == sample.tags.end() ? "" : tag->second;
}

}  // namespace

json calls_in(std::string_view text) {
  // First as a whole: the marks may stand in its arguments.
  if (auto calls = calls_of(parsed_or_null(trim(text))); !calls.is_null()) return calls;
  if (text.find(kBegin) != std::string_view::npos) return tagged_calls(text);
  for (const auto mark : kMarks)
    if (const auto at = text.find(mark); at != std::string_view::npos)
      return calls_of(parsed_or_null(trim(text.substr(at + mark.size()))));
  return nullptr;
}

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
    metrics["call_accuracy"] = {!calls.is_null() && calls == expected_calls(sample), 1};
    if (!sample.tools.empty()) metrics["schema_validity"] = {valid_calls(calls, parsed_or_null(sample.tools)), 1};
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
