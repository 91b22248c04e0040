#include "tool_call.h"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cmath>

using namespace antiphon;
using Catch::Approx;

namespace {

const std::string kTimer = R"({"name": "set_timer", "arguments": {"minutes": 5, "label": "rice"}})",
                  kStop = R"({"name": "stop", "arguments": {}})";

std::string list(const std::vector<std::string>& calls) {
  std::string all;
  for (const auto& call : calls) all += (all.empty() ? "[" : ", ") + call;
  return all + "]";
}

double score(const std::string& text, const std::string& expected, const Sample& sample = {}) {
  return tool_call::ToolCall().score(std::vector<WrittenAnswer>{{sample, expected, text}}).at(0);
}

}  // namespace

TEST_CASE("tool_call: the share of the expected calls") {
  CHECK(score(kTimer, kTimer) == 1);
  CHECK(score(R"(<tool_call>{"arguments": {"label": "rice", "minutes": 5}, "name": "set_timer"}</tool_call>)",
              kTimer) == 1);
  CHECK(score(list({kStop, kTimer}), list({kTimer, kStop})) == 1);  // in another order
  CHECK(score(kStop, list({kTimer, kStop})) == 0.5);
  CHECK(score(R"({"name": "set_timer", "arguments": {"minutes": 6, "label": "rice"}})", kTimer) == 0);
  CHECK(score("I set a timer.", kTimer) == 0);
  CHECK(score("", kTimer) == 0);
}

TEST_CASE("tool_call: more calls than are expected count against it, each expected one counts once") {
  CHECK(score(list({kTimer, kStop}), kTimer) == 0.5);
  CHECK(score(list({kTimer, kTimer, kTimer}), kTimer) == Approx(1.0 / 3));
  CHECK(score(list({kTimer, kTimer}), list({kTimer, kTimer})) == 1);
}

TEST_CASE("tool_call: the calls of the record's answer, or its text; a record without calls cannot be judged") {
  CHECK(std::isnan(score(kTimer, "A cat.")));
  CHECK(std::isnan(score(kTimer, "")));
  Sample sample;
  sample.turns = {{"user", {{"do it"}}}, {"assistant", {}}};
  sample.turns.back().tool_calls = R"([{"type": "function", "function": {"name": "stop", "arguments": {}}}])";
  CHECK(score(kStop, "", sample) == 1);
  CHECK(score(kTimer, "", sample) == 0);
}
