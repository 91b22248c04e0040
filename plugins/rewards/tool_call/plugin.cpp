#include <antiphon/component/register.h>
#include <antiphon/component/written_calls.h>
#include <antiphon/plugin/manifest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>

#include "tool_call.h"

namespace antiphon::tool_call {
namespace {

// Calls of the one list that are in the other, each once.
size_t common(const nlohmann::json& written, nlohmann::json expected) {
  const size_t all = expected.size();
  for (const auto& call : written) {
    const auto found = std::find(expected.begin(), expected.end(), call);
    if (found != expected.end()) expected.erase(found);
  }
  return all - expected.size();
}

}  // namespace

std::vector<double> ToolCall::score(std::span<const WrittenAnswer> answers) {
  std::vector<double> scores;
  for (const auto& answer : answers) {
    const auto expected = expected_calls(answer.sample, answer.expected), written = calls_in(answer.text);
    const auto most = std::max(expected.size(), written.size());  // of null: 0
    scores.push_back(expected.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                        : static_cast<double>(common(written, expected)) / static_cast<double>(most));
  }
  return scores;
}

}  // namespace antiphon::tool_call

ANTIPHON_PLUGIN(tool_call, "0.1.0") {
  using namespace antiphon::tool_call;
  antiphon::register_component<antiphon::Reward, ToolCall>(registrar, "tool_call",
                                                           "the share of the expected tool calls that an answer makes");
}
