// The metrics of eval.metrics, by name: what of an answer is added up over samples, and the score of the sums.
#pragma once
#include <string>
#include <vector>

#include <antiphon/eval/metrics.h>
#include <antiphon/eval/options.h>
#include <antiphon/text/english.h>

namespace antiphon::eval {

// An answer and the expected one, as they are and normalized.
struct AnswerPair {
  std::string predicted, expected, plain_predicted, plain_expected;
};

struct AnswerMetric {
  std::string name;
  bool is_mean = false;  // of samples: the counts are its value and 1
  std::function<std::vector<double>(const AnswerPair&)> counts;
  Score score;
  const char* format = "{:.3f}";
};

// Those that the options name, in a fixed order.
std::vector<AnswerMetric> answer_metrics(const EvalOptions& options);

AnswerPair pair_of(std::string predicted, std::string expected, const EvalOptions& options,
                   const text::Spellings& spellings);

}  // namespace antiphon::eval
