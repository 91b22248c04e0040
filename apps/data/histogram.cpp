#include <data/histogram.h>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace antiphon::apps {
namespace {

using nlohmann::json;

std::string bar(int64_t count, int64_t most) {
  constexpr int64_t kWidth = 40;
  std::string out;
  for (int64_t i = 0; i < (count * kWidth + most - 1) / most; ++i) out += "█";
  return out;
}

std::string edge(double value) {
  return value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{:.2f}", value);
}

}  // namespace

Histogram histogram_of(const std::vector<double>& values, bool whole, size_t bins) {
  if (values.empty()) return {};
  const auto [least, most] = std::ranges::minmax(values);
  const double end = whole ? most + 1 : most;
  double width = (end - least) / static_cast<double>(bins);
  if (whole) width = std::ceil(width);
  if (width == 0) width = 1;
  const auto count = static_cast<size_t>(std::max(1.0, std::ceil((end - least) / width - 1e-9)));
  Histogram out{{}, std::vector<int64_t>(count), 0};
  for (size_t i = 0; i <= count; ++i) out.edges.push_back(least + width * static_cast<double>(i));
  for (const double value : values) ++out.counts[std::min(count - 1, static_cast<size_t>((value - least) / width))];
  out.mean = std::reduce(values.begin(), values.end()) / static_cast<double>(values.size());
  return out;
}

json to_json(const Histogram& histogram) {
  if (histogram.counts.empty()) return nullptr;
  json out{{"mean", histogram.mean}, {"bins", json::array()}};
  for (size_t i = 0; i < histogram.counts.size(); ++i)
    out["bins"].push_back(
        {{"from", histogram.edges[i]}, {"to", histogram.edges[i + 1]}, {"count", histogram.counts[i]}});
  return out;
}

std::string shown_histogram(const std::string& title, const json& histogram) {
  if (histogram.is_null()) return "";
  auto out = fmt::format("  {}, {:.2f} in the mean\n", title, histogram["mean"].get<double>());
  int64_t most = 1;
  for (const auto& bin : histogram["bins"]) most = std::max(most, bin["count"].get<int64_t>());
  for (const auto& bin : histogram["bins"])
    out += fmt::format("  {:>9} to {:>9}  {:>8}  {}\n", edge(bin["from"].get<double>()), edge(bin["to"].get<double>()),
                       bin["count"].get<int64_t>(), bar(bin["count"].get<int64_t>(), most));
  return out;
}

}  // namespace antiphon::apps
