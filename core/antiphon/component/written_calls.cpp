#include <antiphon/component/written_calls.h>

#include <nlohmann/json.hpp>

#include <antiphon/base/json.h>
#include <antiphon/base/strings.h>

#include <algorithm>

namespace antiphon {
namespace {

using nlohmann::json;

constexpr std::string_view kBegin = "<tool_call>", kEnd = "</tool_call>";
constexpr std::string_view kMarks[] = {"<|python_tag|>", "[TOOL_CALLS]"};  // of Llama 3, of Mistral

// {"name", "arguments"} of a call as it is written, or of {"function": {…}}; null if it is none. Llama 3 calls the
// arguments parameters.
json call_of(const json& value) {
  if (!value.is_object()) return nullptr;
  const auto& inner = value.contains("function") && value["function"].is_object() ? value["function"] : value;
  if (!inner.contains("name") || !inner["name"].is_string()) return nullptr;
  auto arguments = inner.value(inner.contains("arguments") ? "arguments" : "parameters", json::object());
  if (arguments.is_string())
    if (auto said = parse_json(arguments.get<std::string>()); said.is_object()) arguments = std::move(said);
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
    calls.push_back(call_of(parse_json(trim(text.substr(at, stop == text.npos ? stop : stop - at)))));
    if (calls.back().is_null()) return nullptr;
  }
  return calls;
}

}  // namespace

json calls_in(std::string_view text) {
  // First as a whole: the marks may stand in its arguments.
  if (auto calls = calls_of(parse_json(trim(text))); !calls.is_null()) return calls;
  if (text.find(kBegin) != std::string_view::npos) return tagged_calls(text);
  for (const auto mark : kMarks)
    if (const auto at = text.find(mark); at != std::string_view::npos)
      return calls_of(parse_json(trim(text.substr(at + mark.size()))));
  return nullptr;
}

json expected_calls(const Sample& sample, std::string_view expected) {
  const auto last = std::ranges::find_if(sample.turns.rbegin(), sample.turns.rend(),
                                         [](const auto& turn) { return turn.role == "assistant"; });
  if (last != sample.turns.rend() && !last->tool_calls.empty()) return calls_of(parse_json(last->tool_calls));
  return calls_in(expected);
}

}  // namespace antiphon
