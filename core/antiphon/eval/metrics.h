// What can be said about a mean of scores.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace antiphon::eval {

struct Interval {
  double mean = 0, low = 0, high = 0;  // 95 %
};
// Bootstrap over samples (Efron 1979), percentile interval.
Interval bootstrap(const std::vector<double>& values, int64_t resamples, uint64_t seed);
// The same for a score of what is added up over samples: counts[sample] has as many numbers each.
using Score = std::function<double(std::span<const double>)>;
Interval bootstrap_counts(const std::vector<std::vector<double>>& counts, const Score& score, int64_t resamples,
                          uint64_t seed);
// The same for a ratio of sums, e.g. errors over reference words.
Interval bootstrap_ratio(const std::vector<double>& numerators, const std::vector<double>& denominators,
                         int64_t resamples, uint64_t seed);
// One-sided paired sign-flip test: the chance of a mean difference at least this large if both were alike.
// Never below 1 / (resamples + 1); NaN if a difference is not finite.
double sign_flip_p(const std::vector<double>& differences, int64_t resamples, uint64_t seed);

}  // namespace antiphon::eval
