// 1 if an answer is the expected one, has it, or fits a pattern; else 0.
#pragma once
#include <optional>
#include <string>

#include <antiphon/component/reward.h>
#include <antiphon/text/rewrite.h>

namespace antiphon::match {

struct MatchOptions {
  std::string how = "exact", pattern = {};
};

class Match : public Reward {
 public:
  // Error(config) for a pattern that is not a regular expression, for how = "regex" without one, and for one beside
  // another `how`.
  explicit Match(const MatchOptions& options);
  std::vector<double> score(std::span<const WrittenAnswer> answers) override;

 private:
  double of(const WrittenAnswer& answer) const;
  bool contains_;
  std::optional<text::Rewrite> pattern_;
};

}  // namespace antiphon::match
