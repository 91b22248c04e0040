#include <antiphon/component/record/tools.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/json.h>
#include <antiphon/component/record/turns.h>

#include <algorithm>

namespace antiphon::records {
namespace {

// A value, or the value that a text holds; discarded if it is not JSON.
Json unquoted(const Json& value) {
  JsonProblem ignored;
  return value.is_string() ? parse_ordered_json(value.get_ref<const std::string&>(), ignored) : value;
}

// The list under the key as a text; empty if there is none, or nothing in it.
std::string list_of(const char* key, const Json& value) {
  if (!value.is_array() || !std::ranges::all_of(value, [](const Json& one) { return one.is_object(); }))
    fail(ErrorKind::data, fmt::format("'{}' is not a list of objects", key));
  return value.empty() ? std::string() : value.dump();
}

void read_arguments(Json& call) {
  auto& function = call.contains("function") ? call["function"] : call;
  const auto arguments = function.is_object() ? function.find("arguments") : function.end();
  if (!function.is_object() || arguments == function.end() || !function.contains("name") ||
      !function.at("name").is_string())
    fail(ErrorKind::data, "an element of 'tool_calls' does not name a function and its arguments",
         R"(write {"type": "function", "function": {"name": …, "arguments": {…}}})");
  *arguments = unquoted(*arguments);
  if (!arguments->is_object())
    fail(ErrorKind::data, "'arguments' of a tool call is neither an object nor a text that holds one");
}

Json function_call(Json function) { return {{"type", "function"}, {"function", std::move(function)}}; }

// {"role": "assistant", "function_call": {"name", "arguments"}}
std::string single_call_of(const Json& message) {
  if (!is_there(message, "function_call")) return {};
  auto call = function_call(message.at("function_call"));
  read_arguments(call);
  return Json::array({call}).dump();
}

}  // namespace

std::string tool_calls_in(std::string_view text) {
  JsonProblem ignored;
  auto calls = parse_ordered_json(text, ignored);
  if (calls.is_object()) calls = Json::array({calls});
  if (!calls.is_array() || calls.empty())
    fail(ErrorKind::data, "the text of a call is not JSON that names a function and its arguments",
         R"(write {"name": …, "arguments": {…}}, or a list of such objects, as the text)");
  for (auto& call : calls) {
    if (!call.is_object() || !call.contains("function")) call = function_call(std::move(call));
    read_arguments(call);
  }
  return calls.dump();
}

std::string joined_calls(const std::string& first, const std::string& second) {
  if (first.empty() || second.empty()) return first + second;
  return first.substr(0, first.size() - 1) + "," + second.substr(1);
}

std::string tool_calls_of(const Json& message) {
  if (!is_there(message, "tool_calls")) return single_call_of(message);
  if (is_there(message, "function_call")) fail(ErrorKind::data, "a message has both 'tool_calls' and 'function_call'");
  auto calls = message.at("tool_calls");
  const auto text = list_of("tool_calls", calls);
  if (text.empty()) return {};
  for (auto& call : calls) read_arguments(call);
  return calls.dump();
}

std::string tool_of(const Json& message) {
  Json out = Json::object();
  for (const char* key : {"tool_call_id", "name"}) {
    if (!is_there(message, key)) continue;
    if (!message.at(key).is_string())
      fail(ErrorKind::data, fmt::format("a tool's message has a key of another type '{}'; expected a string", key));
    out[key] = message.at(key);
  }
  return out.empty() ? std::string() : out.dump();
}

std::string tools_of(const Json& record) {
  if (!is_there(record, "tools") || record.at("tools") == "") return {};
  return list_of("tools", unquoted(record.at("tools")));
}

}  // namespace antiphon::records
