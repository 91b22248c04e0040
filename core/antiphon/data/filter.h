// Samples that are left out of training by what they measure: options of [data.filter].
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <antiphon/config/schema.h>

namespace antiphon::data {

// 0: no limit. As NeMo's Lhotse loader has them (min_duration, min_tokens, min_tps, …: nemo/collections/common/data/
// lhotse/sampling.py): seconds are those of all sounds of a sample together, and a sample without sound has none to be
// judged by.
struct FilterOptions {
  double min_seconds = 0, max_seconds = 0;
  int64_t min_tokens = 0, max_tokens = 0;
  double min_tokens_per_second = 0, max_tokens_per_second = 0;
  bool any() const;
  // "min_seconds 0.1, max_seconds 24"; empty without any.
  std::string describe() const;
};
const config::Table<FilterOptions>& filter_table();

// What a sample is judged by.
struct Measures {
  int64_t tokens = 0;      // media included, of all its answers together
  int64_t supervised = 0;  // of these
  double seconds = 0;      // of its sounds, as they are in the data
  int64_t sounds = 0;
};

inline constexpr size_t kFilterReasons = 6;
using FilterCounts = std::array<int64_t, kFilterReasons>;  // samples left out, by reason

// Which of the limits leaves the sample out: the first, in the order of FilterOptions.
std::optional<size_t> left_out_by(const FilterOptions& options, const Measures& measures);
// "shorter than min_seconds".
std::string_view filter_reason(size_t reason);
int64_t total(const FilterCounts& counts);
// "3 longer than max_seconds, 1 fewer tokens than min_tokens"; empty if none were.
std::string describe(const FilterCounts& counts);

}  // namespace antiphon::data
