#include <antiphon/data/packing.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace antiphon::data {
namespace {

// The place of the largest that fits and is not taken yet; the number of places if there is none.
size_t largest_fitting(const std::vector<int64_t>& tokens, const std::vector<bool>& taken, int64_t room) {
  size_t best = tokens.size();
  for (size_t i = 0; i < tokens.size(); ++i)
    if (!taken[i] && tokens[i] <= room && (best == tokens.size() || tokens[i] > tokens[best])) best = i;
  return best;
}

std::vector<size_t> best_fit(const std::vector<int64_t>& tokens, int64_t room) {
  std::vector<bool> taken(tokens.size());
  std::vector<size_t> places;
  for (size_t next = 0; next < tokens.size(); next = largest_fitting(tokens, taken, room)) {
    places.push_back(next);
    taken[next] = true, room -= tokens[next];
  }
  return places;
}

std::vector<size_t> of_bucket(const std::vector<int64_t>& bounds, const std::vector<int64_t>& tokens, int64_t room) {
  const auto bucket = [&](size_t i) { return std::ranges::lower_bound(bounds, tokens[i]) - bounds.begin(); };
  std::vector<size_t> places;
  for (size_t i = 0; i < tokens.size(); ++i)
    if (bucket(i) == bucket(0) && tokens[i] <= room) places.push_back(i), room -= tokens[i];
  return places;
}

}  // namespace

std::string PackingOptions::describe() const {
  if (!looks_ahead()) return method;
  const auto bounds = method == "buckets" ? fmt::format(" [{}]", fmt::join(buckets, ", ")) : "";
  return fmt::format("{}{} from {} samples", method, bounds, look_ahead);
}

const config::Table<PackingOptions>& packing_table() {
  using P = PackingOptions;
  static const auto* table = new config::Table<P>(
      config::Table<P>("packing")
          .field("method", &P::method,
                 "in_order: samples as they are drawn, until one does not fit; best_fit: the oldest that waits and "
                 "then the largest that fit; buckets: the oldest and those of about its length",
                 {.choices = {"in_order", "best_fit", "buckets"}})
          .field("look_ahead", &P::look_ahead, "samples that best_fit and buckets choose from", {.min = 2, .max = 4096})
          .field("buckets", &P::buckets, "bounds between the lengths of buckets, in tokens: [128, 512] are three",
                 {.min = 1}));
  return *table;
}

void check_packing(const PackingOptions& options, config::Problems& problems) {
  const bool rising = std::ranges::adjacent_find(options.buckets, std::greater_equal<>()) == options.buckets.end();
  if (!rising) problems.add({}, "data.packing.buckets must rise", "write them from the smallest to the largest");
  if ((options.method == "buckets") == options.buckets.empty())
    problems.add(
        {},
        fmt::format("data.packing.method = \"{}\" and {} bounds of buckets", options.method, options.buckets.size()),
        "give data.packing.buckets with method = \"buckets\", and only then");
}

std::vector<size_t> chosen(const PackingOptions& options, const std::vector<int64_t>& tokens, int64_t budget) {
  return options.method == "buckets" ? of_bucket(options.buckets, tokens, budget) : best_fit(tokens, budget);
}

}  // namespace antiphon::data
