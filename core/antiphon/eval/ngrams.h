// Counts of runs of n tokens or characters, and how many two texts have in common.
#pragma once
#include <algorithm>
#include <map>
#include <vector>

namespace antiphon::eval {

// Of a vector or a string.
template <class Sequence>
std::map<Sequence, double> ngrams(const Sequence& tokens, size_t n) {
  std::map<Sequence, double> counts;
  for (size_t i = 0; i + n <= tokens.size(); ++i)
    ++counts[Sequence(tokens.begin() + static_cast<long>(i), tokens.begin() + static_cast<long>(i + n))];
  return counts;
}

template <class Counts>
double matches(const Counts& predicted, const Counts& expected) {
  double sum = 0;
  for (const auto& [gram, count] : predicted)
    if (const auto found = expected.find(gram); found != expected.end()) sum += std::min(count, found->second);
  return sum;
}

template <class Counts>
double total(const Counts& counts) {
  double sum = 0;
  for (const auto& [gram, count] : counts) sum += count;
  return sum;
}

}  // namespace antiphon::eval
