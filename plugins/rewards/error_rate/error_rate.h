// 1 - min(1, errors / length of the expected answer): substitutions, insertions and deletions, as eval's wer and cer
// count them.
#pragma once
#include <string>

#include <antiphon/component/reward.h>

namespace antiphon::error_rate {

struct ErrorRateOptions {
  std::string unit = "word";
};

class ErrorRate : public Reward {
 public:
  explicit ErrorRate(const ErrorRateOptions& options) : words_(options.unit == "word") {}
  std::vector<double> score(std::span<const WrittenAnswer> answers) override;

 private:
  bool words_;
};

}  // namespace antiphon::error_rate
