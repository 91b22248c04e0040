#include <antiphon/component/written_calls.h>
#include <antiphon/eval/calls.h>
#include <antiphon/eval/json_schema.h>

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

using namespace antiphon;
using namespace antiphon::eval;
using nlohmann::json;

namespace {

const std::string kTools =
    R"([{"name": "set_timer", "parameters": {"type": "object", "properties": {"minutes": {"type": "integer", "minimum": 1},
  "label": {"type": "string", "maxLength": 5}}, "required": ["minutes"], "additionalProperties": false}},
  {"type": "function", "function": {"name": "stop"}}])";

Sample sample_of(const std::string& task, const std::string& answer) {
  Sample sample;
  if (!task.empty()) sample.tags["task"] = task;
  sample.turns = {{"user", {{"do it"}}}, {"assistant", {{answer}}}};
  if (task == "tool_call") sample.tools = kTools;
  return sample;
}

double value(const CallMetrics& metrics, const std::string& name) {
  const auto& [sum, count] = metrics.at(name);
  CHECK(count == 1);
  return sum;
}

bool valid(const std::string& text) { return valid_calls(calls_in(text), json::parse(kTools)); }

}  // namespace

TEST_CASE("calls: valid are those of a tool with arguments that its schema allows") {
  CHECK(valid(R"({"name": "set_timer", "arguments": {"minutes": 5, "label": "rice"}})"));
  CHECK(valid(R"({"name": "set_timer", "arguments": {"minutes": 5.0}})"));
  CHECK(valid(R"({"name": "stop", "arguments": {"anything": [1]}})"));
  CHECK_FALSE(valid(R"({"name": "set_timer", "arguments": {"minutes": 0}})"));
  CHECK_FALSE(valid(R"({"name": "set_timer", "arguments": {"minutes": "5"}})"));
  CHECK_FALSE(valid(R"({"name": "set_timer", "arguments": {"minutes": 5.5}})"));
  CHECK_FALSE(valid(R"({"name": "set_timer", "arguments": {}})"));
  CHECK_FALSE(valid(R"({"name": "set_timer", "arguments": {"minutes": 5, "label": "too long"}})"));
  CHECK_FALSE(valid(R"({"name": "set_timer", "arguments": {"minutes": 5, "more": 1}})"));
  CHECK_FALSE(valid(R"({"name": "set_timer", "arguments": [5]})"));
  CHECK_FALSE(valid(R"({"name": "nobody", "arguments": {}})"));
  CHECK_FALSE(valid("no call"));
  CHECK_FALSE(valid_calls(calls_in(R"({"name": "stop"})"), json(nullptr)));
}

TEST_CASE("calls: keywords of a schema") {
  const auto fits = [](const char* value, const char* schema) {
    return conforms(json::parse(value), json::parse(schema));
  };
  CHECK(fits("3", "{}"));
  CHECK(fits("3", "true"));
  CHECK_FALSE(fits("3", "false"));
  CHECK(fits("null", R"({"type": ["string", "null"]})"));
  CHECK_FALSE(fits("3", R"({"type": ["string", "null"]})"));
  CHECK(fits("\"b\"", R"({"enum": ["a", "b"]})"));
  CHECK_FALSE(fits("\"c\"", R"({"enum": ["a", "b"]})"));
  CHECK_FALSE(fits("1", R"({"const": 2})"));
  CHECK(fits("[1, 2]", R"({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2})"));
  CHECK_FALSE(fits("[1]", R"({"minItems": 2})"));
  CHECK_FALSE(fits("[1, \"a\"]", R"({"items": {"type": "integer"}})"));
  CHECK_FALSE(fits("{\"a\": {\"b\": 1}}", R"({"properties": {"a": {"properties": {"b": {"type": "string"}}}}})"));
  CHECK(fits("{\"x\": 1}", R"({"additionalProperties": {"type": "number"}})"));
  CHECK_FALSE(fits("{\"x\": \"a\"}", R"({"additionalProperties": {"type": "number"}})"));
  CHECK(fits("\"ä\"", R"({"maxLength": 1})"));
  CHECK(fits("true", R"({"type": "boolean"})"));
  CHECK_FALSE(fits("1", R"({"type": "boolean"})"));
  CHECK_FALSE(fits("7", R"({"maximum": 6.5})"));
}

TEST_CASE("calls: refusals begin with a phrase, whatever case and punctuation") {
  const auto phrases = EvalOptions().refusals;
  CHECK(refuses("I cannot help with that.", phrases));
  CHECK(refuses("I'm sorry, but no.", phrases));
  CHECK(refuses("i can’t do that", {"I can't", "I can’t"}));
  CHECK_FALSE(refuses("You can. I cannot.", phrases));
  CHECK_FALSE(refuses("", phrases));
  CHECK_FALSE(refuses("Sorrow", {"sorr"}));
  CHECK(refuses("no", {"no"}));
}

TEST_CASE("calls: what is said of an answer depends on its sample's task") {
  const EvalOptions options;
  const std::string call = R"({"name": "set_timer", "arguments": {"minutes": 5}})", other = R"({"name": "stop"})";
  const auto of_call = sample_of("tool_call", call);
  auto metrics = call_metrics(of_call, R"({"arguments": {"minutes": 5}, "name": "set_timer"})", options, false);
  CHECK((metrics.size() == 2 && value(metrics, "call_accuracy") == 1 && value(metrics, "schema_validity") == 1));
  metrics = call_metrics(of_call, other, options, true);
  CHECK((value(metrics, "call_accuracy") == 0 && value(metrics, "schema_validity") == 1));
  CHECK(value(metrics, "over_refusal") == 0);
  metrics = call_metrics(of_call, "I cannot help.", options, true);
  CHECK((value(metrics, "call_accuracy") == 0 && value(metrics, "schema_validity") == 0));
  CHECK(value(metrics, "over_refusal") == 1);
  auto as_turn = sample_of("tool_call", "");
  as_turn.turns.back().parts.clear();
  as_turn.turns.back().tool_calls =
      R"([{"type": "function", "function": {"name": "set_timer", "arguments": {"minutes": 5}}}])";
  CHECK(value(call_metrics(as_turn, "<tool_call>" + call + "</tool_call>", options, false), "call_accuracy") == 1);
  CHECK(value(call_metrics(of_call, R"({"name": "set_timer", "parameters": {"minutes": 5}})", options, false),
              "call_accuracy") == 1);
  const auto of_refusal = sample_of("refusal", "I cannot help with that.");
  CHECK(value(call_metrics(of_refusal, "I can't do that.", options, true), "refusal_rate") == 1);
  CHECK(value(call_metrics(of_refusal, "First, take a hammer.", options, true), "refusal_rate") == 0);
  CHECK(call_metrics(of_refusal, "I can't.", options, true).size() == 1);
  CHECK(call_metrics(sample_of("", "yes"), "I can't", options, false).empty());
  CHECK(value(call_metrics(sample_of("", "yes"), "I can't", options, true), "over_refusal") == 1);
  for (const auto& sample : {of_call, of_refusal})
    for (const auto& [name, metric] : call_metrics(sample, other, options, true))
      CHECK(std::ranges::find(kCallMetrics, name) != std::end(kCallMetrics));
  CHECK(asks_for_refusals({of_call, of_refusal}));
  CHECK_FALSE(asks_for_refusals({of_call, sample_of("", "yes")}));
}
