// What is said of samples whose task is to call or to refuse.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/component/sample.h>
#include <antiphon/eval/options.h>

namespace antiphon::eval {

// Whether each call is to one of the tools, a list of {"name", "parameters"} or {"type": "function", "function": {…}},
// and its arguments conform to the parameters. False without a call.
bool valid_calls(const nlohmann::json& calls, const nlohmann::json& tools);

// Whether the answer begins by refusing: with one of the phrases, whatever case and punctuation.
bool refuses(std::string_view answer, const std::vector<std::string>& phrases);

// What is said of one answer besides the usual scores, as sum and count. Of a sample with the tag task = "tool_call":
// call_accuracy (the same calls as expected, in order) and schema_validity (against the sample's tools); of one with
// task = "refusal": refusal_rate; of any other, if `judges_refusals`: over_refusal.
using CallMetrics = std::map<std::string, std::pair<double, double>>;
constexpr const char* kCallMetrics[] = {"call_accuracy", "schema_validity", "refusal_rate", "over_refusal"};
CallMetrics call_metrics(const Sample& sample, const std::string& predicted, const EvalOptions& options,
                         bool judges_refusals);
// Whether any sample's task is to refuse.
bool asks_for_refusals(const std::vector<Sample>& samples);

}  // namespace antiphon::eval
