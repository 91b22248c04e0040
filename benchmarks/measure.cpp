#include "measure.h"

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <iostream>

namespace antiphon::bench {

std::vector<double> repeat(const Repeats& repeats, const std::function<void()>& body,
                           const std::function<void()>& before) {
  std::vector<double> seconds;
  for (int i = 0; i < repeats.warmup + repeats.count; ++i) {
    if (before) before();
    const auto begin = std::chrono::steady_clock::now();
    body();
    if (i >= repeats.warmup)
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return seconds;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void emit(const std::string& name, nlohmann::json facts,
          const std::vector<std::pair<std::string, std::vector<double>>>& samples) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  facts["bench"] = name, facts["side"] = "antiphon";
  facts["threads"] = at::get_num_threads();
  facts["peak_rss_mib"] = usage.ru_maxrss / 1024;
  facts["n"] = samples.front().second.size();
  for (const auto& [key, values] : samples) {
    facts[key] = median(values);
    facts["samples"][key] = values;
  }
  std::cout << facts.dump() << std::endl;
}

}  // namespace antiphon::bench
