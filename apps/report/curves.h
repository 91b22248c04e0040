// The curves of a training run, from its metrics.jsonl.
#pragma once
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include <report/json_lines.h>

namespace antiphon::apps::report {

struct Point {
  int64_t step = 0;
  double value = 0;
};
using Points = std::vector<Point>;

struct Training {
  std::map<std::string, Points> curves;  // by metric; finite values of rising steps, in the unit of the metric table
  LineCounts lines;
  int64_t steps = 0;                              // of the last line
  double tokens = 0, seconds = 0, last_loss = 0;  // last_loss: mean over the last 20 steps; NaN without steps
};
Training read_training(const std::filesystem::path& metrics_file);

// [{key, title, unit, smooth, absent}, …]: what is drawn, in this order, and behind it what their objectives told and
// what these runs measured on held-out sets. `absent` says why a curve may not be there.
nlohmann::json metric_table(const std::vector<const Training*>& trainings);

// {"points": [[step, value], …], "means": …}: at most 1000 points that keep each minimum and maximum, and at most 500
// means of equally many steps, for smoothing. Both hold the same values if no step had to be dropped.
nlohmann::json to_json(const Points& points);

}  // namespace antiphon::apps::report
