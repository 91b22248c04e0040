// Named metrics of one step, summed over its batches.
#pragma once
#include <map>
#include <string>
#include <vector>

#include <antiphon/component/objective.h>

namespace antiphon::train {

class StepMetrics {
 public:
  struct Sum {
    double sum = 0, count = 0;
  };
  // Of the objective, as "train/<name>".
  void add(const std::vector<Metric>& metrics);
  void add(const std::string& name, const Sum& sum);
  const std::map<std::string, Sum>& sums() const { return sums_; }
  void set(const std::string& name, const Sum& sum) { sums_[name] = sum; }
  // The mean over all that was counted; NaN if nothing was.
  std::map<std::string, double> means() const;

 private:
  std::map<std::string, Sum> sums_;
};

}  // namespace antiphon::train
