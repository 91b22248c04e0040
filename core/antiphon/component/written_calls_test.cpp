#include <antiphon/component/written_calls.h>

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

using namespace antiphon;
using nlohmann::json;

TEST_CASE("calls: as an object, a list, or between tags; with arguments that are a text") {
  const json one{{"name", "stop"}, {"arguments", {{"a", 1}}}}, list = json::array({one});
  CHECK(calls_in(R"({"name": "stop", "arguments": {"a": 1}})") == list);
  CHECK(calls_in(R"( [{"name": "stop", "arguments": "{\"a\": 1}"}] )") == list);
  CHECK(calls_in("I will.<tool_call>\n" + one.dump() + "\n</tool_call><tool_call>" + one.dump() + "</tool_call>") ==
        json::array({one, one}));
  CHECK(calls_in(R"({"type": "function", "function": {"name": "stop", "arguments": {"a": 1}}})") == list);
  CHECK(calls_in(R"({"name": "stop"})") == json::array({json{{"name", "stop"}, {"arguments", json::object()}}}));
  for (const char* text : {"", "yes", "[]", "[1]", "{\"name\": 3}", "{\"name\": \"stop\"", "<tool_call>",
                           "<tool_call>x</tool_call>", "{\"name\": \"stop\"} and more", "null", "{\"function\": 3}"})
    CHECK(calls_in(text).is_null());
  CHECK(calls_in(std::string(100000, '[')).is_null());
}

TEST_CASE("calls: as Llama 3 and Mistral write them") {
  const json one{{"name", "stop"}, {"arguments", {{"a", 1}}}}, list = json::array({one});
  const std::string llama = R"({"name": "stop", "parameters": {"a": 1}})";
  CHECK(calls_in(llama) == list);
  CHECK(calls_in(R"({"type": "function", "function": {"name": "stop", "parameters": "{\"a\": 1}"}})") == list);
  CHECK(calls_in("<|python_tag|>" + llama) == list);
  CHECK(calls_in("I look.\n<|python_tag|> " + llama + "\n") == list);
  CHECK(calls_in("<tool_call>" + llama + "</tool_call>") == list);
  CHECK(calls_in(R"([TOOL_CALLS][{"name": "stop", "arguments": {"a": 1}, "id": "abcdefghi"}])") == list);
  CHECK(calls_in("[TOOL_CALLS] [" + one.dump() + ", " + llama + "]") == json::array({one, one}));
  CHECK(calls_in(R"({"name": "stop", "arguments": {"a": 1}, "parameters": {"a": 2}})") == list);
  CHECK(calls_in(R"({"name": "stop", "parameters": {"a": "[TOOL_CALLS]<tool_call>"}})") ==
        json::array({json{{"name", "stop"}, {"arguments", {{"a", "[TOOL_CALLS]<tool_call>"}}}}}));
  for (const std::string text : {"<|python_tag|>", "[TOOL_CALLS]", "[TOOL_CALLS][]", "<|python_tag|>print(1)"})
    CHECK(calls_in(text).is_null());
  CHECK(calls_in("[TOOL_CALLS]" + llama + " and more").is_null());
}

TEST_CASE("calls: those that a record expects are its last answer's, as a turn's calls or as its text") {
  const auto list = json::array({json{{"name", "stop"}, {"arguments", {{"a", 1}}}}});
  const std::string text = R"({"name": "stop", "arguments": {"a": 1}})";
  Sample sample;
  CHECK(expected_calls(sample, text) == list);
  CHECK(expected_calls(sample, "").is_null());
  sample.turns = {{"user", {{"do it"}}}, {"assistant", {{text}}}};
  sample.turns.back().tool_calls = R"([{"type": "function", "function": {"name": "go", "arguments": {}}}])";
  CHECK(expected_calls(sample, text) == json::array({json{{"name", "go"}, {"arguments", json::object()}}}));
}
