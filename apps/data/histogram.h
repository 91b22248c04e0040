// How values are spread, as a person reads it and as JSON.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::apps {

struct Histogram {
  // Bin i holds what is at least edges[i] and below edges[i + 1]; the last one its upper edge, too.
  std::vector<double> edges;
  std::vector<int64_t> counts;
  double mean = 0;
};

// At most `bins` of equal width from the smallest value to the largest; of whole numbers the edges are whole, and the
// largest value is below the last. Without values: none.
Histogram histogram_of(const std::vector<double>& values, bool whole, size_t bins = 10);

// {"mean", "bins": [{"from", "to", "count"}]}; null if it has none.
nlohmann::json to_json(const Histogram& histogram);
// A line for each bin with a bar, under a title.
std::string shown_histogram(const std::string& title, const nlohmann::json& histogram);

}  // namespace antiphon::apps
