#include <antiphon/parallel/alike.h>

#include <antiphon/parallel/agreed.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace antiphon::parallel {

// Where the boxes begin and end, of all parameters that have one.
std::vector<int64_t> places_of(const std::vector<Parameter>& parameters) {
  std::vector<int64_t> places;
  for (const auto& parameter : parameters) {
    if (!parameter.box) continue;
    places.insert(places.end(), parameter.box->begin.begin(), parameter.box->begin.end());
    const auto sizes = parameter.tensor->sizes();
    places.insert(places.end(), sizes.begin(), sizes.end());
  }
  return places;
}

std::vector<int64_t> places_of_rows(const std::vector<Parameter>& whole, const std::vector<int64_t>& places, int shard,
                                    int shards) {
  std::vector<int64_t> all;
  auto at = places.begin();
  for (const auto& parameter : whole) {
    const auto dims = parameter.tensor->dim();
    std::vector<int64_t> begin(static_cast<size_t>(dims)), sizes = parameter.tensor->sizes().vec();
    if (parameter.box) {
      begin.assign(at, at + dims), sizes.assign(at + dims, at + 2 * dims);
      at += 2 * dims;
    } else if (shards == 1) {
      continue;
    }
    if (shards > 1 && std::ranges::count(sizes, 0) == 0) {
      const int64_t rows = sizes[0], first = rows * shard / shards;
      begin[0] += first, sizes[0] = rows * (shard + 1) / shards - first;
    }
    all.insert(all.end(), begin.begin(), begin.end()), all.insert(all.end(), sizes.begin(), sizes.end());
  }
  return all;
}

std::vector<Alike> alike(const std::vector<Parameter>& parameters, comm::Group* block) {
  const auto own = places_of(parameters);
  if (!block) return alike(parameters, {own}, 0);
  const auto count = static_cast<size_t>(block->size());
  return alike(parameters, own.empty() ? std::vector(count, own) : gathered(own, *block), block->rank());
}

std::vector<Alike> alike(const std::vector<Parameter>& parameters, const std::vector<std::vector<int64_t>>& places,
                         int number) {
  std::vector<int> everyone(places.size());
  std::iota(everyone.begin(), everyone.end(), 0);
  const auto& own = places[static_cast<size_t>(number)];
  std::map<std::vector<int>, std::vector<Parameter>> by_numbers;
  size_t at = 0;
  for (const auto& parameter : parameters) {
    if (!parameter.box) {
      by_numbers[everyone].push_back(parameter);
      continue;
    }
    const size_t end = at + 2 * parameter.box->begin.size();
    std::vector<int> numbers;
    for (size_t other = 0; other < places.size(); ++other)
      if (std::equal(own.begin() + static_cast<int64_t>(at), own.begin() + static_cast<int64_t>(end),
                     places[other].begin() + static_cast<int64_t>(at)))
        numbers.push_back(static_cast<int>(other));
    if (parameter.tensor->numel() > 0) by_numbers[numbers].push_back(parameter);
    at = end;
  }
  std::vector<Alike> all;
  for (auto& [numbers, of_them] : by_numbers) all.push_back({numbers, std::move(of_them)});
  return all;
}

}  // namespace antiphon::parallel
