#include <report/curves.h>

#include <antiphon/component/objective.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

namespace antiphon::apps::report {
namespace {

using nlohmann::json;

struct Metric {
  const char *key, *title, *unit;
  double scale = 1;  // from what is written to `unit`
  bool smooth = false;
  const char* absent = "";
};

constexpr double kGib = 1.0 / (1 << 30);
constexpr Metric kMetrics[] = {
    {"train/loss", "Loss", "nats per token", 1, true},
    {"train/lr", "Learning rate", ""},
    {"train/gradient_norm", "Gradient norm", "", 1, true},
    {"train/tokens_per_second", "Throughput", "tokens/s", 1, true},
    {"train/share_of_peak", "Share of peak", "%", 100, true, "not measured in this run"},
    {"train/gflops_per_second", "Arithmetic", "GFLOP/s", 1, true},
    {"train/memory_bytes", "Memory", "GiB", kGib},
    {"train/data_wait_seconds", "Data wait", "s per step"},
};
constexpr size_t kMostPoints = 1000, kMeanOver = 20;

void sort_by_step(Points& points) {
  std::stable_sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.step < b.step; });
  Points kept;
  for (const auto& point : points) {
    if (!kept.empty() && kept.back().step == point.step) kept.pop_back();
    kept.push_back(point);
  }
  points = std::move(kept);
}

// Six digits: more cannot be seen in a plot.
json pair(double step, double value) {
  const double unit = value == 0 ? 1 : std::pow(10, 5 - std::floor(std::log10(std::abs(value))));
  const double rounded = std::round(value * unit) / unit;
  return {step, std::isfinite(rounded) ? rounded : value};
}

json pair(const Point& point) { return pair(static_cast<double>(point.step), point.value); }

json mean_of(const Point* begin, const Point* end) {
  double step = 0, value = 0;
  for (const auto* point = begin; point != end; ++point)
    step += static_cast<double>(point->step), value += point->value;
  const auto count = static_cast<double>(end - begin);
  return pair(std::round(step / count), value / count);
}

double last_mean(const Points& points) {
  if (points.empty()) return std::nan("");
  double sum = 0;
  const size_t count = std::min(points.size(), kMeanOver);
  for (size_t i = points.size() - count; i < points.size(); ++i) sum += points[i].value;
  return sum / static_cast<double>(count);
}

// "train/reward" and the like: what an objective tells, and not every run.
bool is_of_objective(const std::string& key) {
  constexpr std::string_view begin = "train/";
  return key.starts_with(begin) && std::ranges::find(kRunMetrics, key.substr(begin.size())) == kRunMetrics.end();
}

// "eval/NAME/loss" and the like, of train.eval_every.
bool is_held_out(const std::string& key) { return key.starts_with("eval/") && key != "eval/seconds"; }

void add(const json& record, Training& training) {
  const auto step = record.find("step");
  if (step == record.end() || !step->is_number_integer()) return;
  const double seconds = number_or_nan(record, "train/step_seconds"),
               rate = number_or_nan(record, "train/tokens_per_second");
  training.steps = std::max(training.steps, step->get<int64_t>());
  if (std::isfinite(seconds)) training.seconds += seconds;
  if (std::isfinite(seconds * rate)) training.tokens += seconds * rate;
  for (const auto& metric : kMetrics) {
    const double value = number_or_nan(record, metric.key) * metric.scale;
    if (std::isfinite(value)) training.curves[metric.key].push_back({step->get<int64_t>(), value});
  }
  for (const auto& [key, value] : record.items())
    if ((is_held_out(key) || is_of_objective(key)) && value.is_number() && std::isfinite(value.get<double>()))
      training.curves[key].push_back({step->get<int64_t>(), value.get<double>()});
}

}  // namespace

Training read_training(const std::filesystem::path& metrics_file) {
  Training training;
  training.lines = for_each_object(metrics_file, [&](const json& record) { add(record, training); });
  for (auto& [key, points] : training.curves) sort_by_step(points);
  const auto loss = training.curves.find("train/loss");
  training.last_loss = last_mean(loss == training.curves.end() ? Points{} : loss->second);
  return training;
}

json metric_table(const std::vector<const Training*>& trainings) {
  json table = json::array();
  for (const auto& m : kMetrics)
    table.push_back({{"key", m.key}, {"title", m.title}, {"unit", m.unit}, {"smooth", m.smooth}, {"absent", m.absent}});
  std::set<std::string> held_out, of_objective;
  for (const auto* training : trainings)
    for (const auto& [key, points] : training->curves) {
      if (is_held_out(key)) held_out.insert(key);
      if (is_of_objective(key)) of_objective.insert(key);
    }
  for (const auto& key : of_objective)
    table.push_back({{"key", key}, {"title", key.substr(6)}, {"unit", ""}, {"smooth", true}, {"absent", ""}});
  for (const auto& key : held_out)
    table.push_back(
        {{"key", key}, {"title", "Held out: " + key.substr(5)}, {"unit", ""}, {"smooth", false}, {"absent", ""}});
  return table;
}

json to_json(const Points& points) {
  json out{{"points", json::array()}, {"means", json::array()}};
  const size_t count = points.size(), buckets = count <= kMostPoints ? count : kMostPoints / 2 - 1;
  for (size_t i = 0; i < buckets; ++i) {
    const auto *begin = points.data() + count * i / buckets, *end = points.data() + count * (i + 1) / buckets;
    auto [low, high] = std::minmax_element(begin, end, [](auto& a, auto& b) { return a.value < b.value; });
    out["means"].push_back(mean_of(begin, end));
    if (low > high) std::swap(low, high);
    out["points"].push_back(pair(*low));
    if (low != high) out["points"].push_back(pair(*high));
  }
  if (count == 0) return out;
  auto& drawn = out["points"];
  if (drawn.front()[0] != points.front().step) drawn.insert(drawn.begin(), pair(points.front()));
  if (drawn.back()[0] != points.back().step) drawn.push_back(pair(points.back()));
  return out;
}

}  // namespace antiphon::apps::report
