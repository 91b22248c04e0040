#include <antiphon/train/step_metrics.h>

#include <ATen/ATen.h>

namespace antiphon::train {

void StepMetrics::add(const std::vector<Metric>& metrics) {
  for (const auto& metric : metrics) {
    auto& sum = sums_[metric.name];
    sum.sum += metric.sum.item<double>();
    sum.count += metric.count;
  }
}

std::map<std::string, double> StepMetrics::means() const {
  std::map<std::string, double> means;
  for (const auto& [name, sum] : sums_) means["train/" + name] = sum.sum / sum.count;
  return means;
}

}  // namespace antiphon::train
