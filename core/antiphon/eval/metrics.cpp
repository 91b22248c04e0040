#include <antiphon/eval/metrics.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace antiphon::eval {
namespace {

size_t below(std::mt19937_64& random, size_t n) { return static_cast<size_t>(random() % n); }

Interval percentile_interval(double mean, std::vector<double> means) {
  std::sort(means.begin(), means.end());
  const auto at = [&](double share) {
    return means[static_cast<size_t>(share * static_cast<double>(means.size() - 1))];
  };
  return {mean, at(0.025), at(0.975)};
}

}  // namespace

Interval bootstrap(const std::vector<double>& values, int64_t resamples, uint64_t seed) {
  return bootstrap_ratio(values, std::vector<double>(values.size(), 1.0), resamples, seed);
}

Interval bootstrap_ratio(const std::vector<double>& numerators, const std::vector<double>& denominators,
                         int64_t resamples, uint64_t seed) {
  std::vector<std::vector<double>> counts;
  for (size_t i = 0; i < numerators.size(); ++i) counts.push_back({numerators[i], denominators[i]});
  return bootstrap_counts(
      counts, [](std::span<const double> sum) { return sum[1] > 0 ? sum[0] / sum[1] : 0; }, resamples, seed);
}

Interval bootstrap_counts(const std::vector<std::vector<double>>& counts, const Score& score, int64_t resamples,
                          uint64_t seed) {
  const size_t n = counts.size();
  if (n == 0) return {};
  std::vector<double> sum(counts.front().size(), 0);
  const auto add = [&](const std::vector<double>& of_sample) {
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += of_sample[k];
  };
  std::ranges::for_each(counts, add);
  const double whole = score(sum);
  if (!std::isfinite(whole)) return {whole, whole, whole};  // NaN cannot be sorted
  std::mt19937_64 random(seed);
  std::vector<double> scores;
  for (int64_t r = 0; r < resamples; ++r) {
    std::ranges::fill(sum, 0);
    for (size_t i = 0; i < n; ++i) add(counts[below(random, n)]);
    scores.push_back(score(sum));
  }
  return percentile_interval(whole, std::move(scores));
}

double sign_flip_p(const std::vector<double>& differences, int64_t resamples, uint64_t seed) {
  const double observed = std::accumulate(differences.begin(), differences.end(), 0.0);
  if (!std::isfinite(observed)) return std::nan("");  // no sum would reach it, or be compared with it
  std::mt19937_64 random(seed);
  int64_t at_least = 0;
  for (int64_t r = 0; r < resamples; ++r) {
    double sum = 0;
    uint64_t bits = 0;
    for (size_t i = 0; i < differences.size(); ++i) {
      if (i % 64 == 0) bits = random();
      sum += bits >> (i % 64) & 1 ? differences[i] : -differences[i];
    }
    at_least += sum >= observed;
  }
  return static_cast<double>(at_least + 1) / static_cast<double>(resamples + 1);
}

}  // namespace antiphon::eval
