// The soft overlong punishment: 0 up to max - buffer tokens, from there in a straight line to -1 at max; -1 for an
// answer that did not end. Source: Yu et al. 2025 (DAPO), equation 13.
#pragma once
#include <antiphon/component/reward.h>

namespace antiphon::length {

struct LengthOptions {
  int64_t max = 0, buffer = 0;
};

class Length : public Reward {
 public:
  // Error(config) for a buffer above max.
  explicit Length(const LengthOptions& options);
  std::vector<double> score(std::span<const WrittenAnswer> answers) override;

 private:
  LengthOptions o_;
};

}  // namespace antiphon::length
