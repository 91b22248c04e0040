// Named metrics of one step, summed over its batches.
#pragma once
#include <map>
#include <string>
#include <vector>

#include <antiphon/component/objective.h>

namespace antiphon::train {

class StepMetrics {
 public:
  void add(const std::vector<Metric>& metrics);
  // "train/<name>": the mean over all that was counted; NaN if nothing was.
  std::map<std::string, double> means() const;

 private:
  struct Sum {
    at::Tensor sum;
    double count = 0;
  };
  std::map<std::string, Sum> sums_;
};

}  // namespace antiphon::train
