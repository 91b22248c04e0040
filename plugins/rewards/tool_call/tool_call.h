// The share of the expected tool calls that an answer makes, in any order: name and arguments are equal. If it makes
// more calls than are expected, the share of its own that are, so that it gains nothing by calling everything.
#pragma once
#include <antiphon/component/reward.h>

namespace antiphon::tool_call {

class ToolCall : public Reward {
 public:
  std::vector<double> score(std::span<const WrittenAnswer> answers) override;
};

}  // namespace antiphon::tool_call
