#include <antiphon/train/step_metrics.h>

#include <ATen/ATen.h>

namespace antiphon::train {

void StepMetrics::add(const std::vector<Metric>& metrics) {
  for (const auto& metric : metrics) add("train/" + metric.name, {metric.sum.sum().item<double>(), metric.count});
}

void StepMetrics::add(const std::string& name, const Sum& more) {
  auto& sum = sums_[name];
  sum.sum += more.sum, sum.count += more.count;
}

std::map<std::string, double> StepMetrics::means() const {
  std::map<std::string, double> means;
  for (const auto& [name, sum] : sums_) means[name] = sum.sum / sum.count;
  return means;
}

}  // namespace antiphon::train
