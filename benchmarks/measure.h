// Repetitions, medians and the JSON line that the Python peers print too.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace antiphon::bench {

struct Repeats {
  int warmup = 1, count = 5;
};

// Wall seconds of each counted call of `body`; `before` each of them, what is not counted.
std::vector<double> repeat(const Repeats& repeats, const std::function<void()>& body,
                           const std::function<void()>& before = {});
double median(std::vector<double> values);
// Prints one line: name, threads, peak_rss_mib, `facts`, and for each of `samples` its median under its name; the
// samples themselves stand under "samples".
void emit(const std::string& name, nlohmann::json facts,
          const std::vector<std::pair<std::string, std::vector<double>>>& samples);

}  // namespace antiphon::bench
