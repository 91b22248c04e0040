// How much better an answer is than the others to its prompt.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "options.h"

namespace antiphon::policy_gradient {

// Of the rewards of one group that are known.
struct Spread {
  int64_t known = 0;
  double sum = 0;
  double deviation = 0;  // with known - 1 in the denominator; 0 of fewer than two
  bool equal = true;     // to the bit
};
Spread spread_of(std::span<const double> rewards);

// One number a reward, as method.advantage says. 0: the reward is NaN, or no other one of its group differs.
std::vector<double> advantages_of(const std::vector<double>& rewards, const std::vector<int64_t>& groups,
                                  const Method& method);

}  // namespace antiphon::policy_gradient
