// Which of the samples that wait come into the next batch: options of [data.packing].
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <antiphon/config/schema.h>

namespace antiphon::data {

struct PackingOptions {
  // in_order: as they are drawn, until one does not fit. best_fit and buckets choose from `look_ahead` samples.
  std::string method = "in_order";
  int64_t look_ahead = 64;
  std::vector<int64_t> buckets;  // bounds of tokens, rising: [128, 512] are three buckets
  bool looks_ahead() const { return method != "in_order"; }
  std::string describe() const;
};
const config::Table<PackingOptions>& packing_table();
void check_packing(const PackingOptions& options, config::Problems& problems);

// The places of the samples, of so many tokens each, oldest first, that come into a batch of `budget` tokens. The
// oldest is always among them, so none waits for ever. None has more than `budget`.
// best_fit: then the largest that still fits, the oldest of equal ones, until none does (best fit decreasing: Johnson,
// 1973). buckets: then those of the oldest one's bucket, in order, as they fit.
std::vector<size_t> chosen(const PackingOptions& options, const std::vector<int64_t>& tokens, int64_t budget);

}  // namespace antiphon::data
