#include <antiphon/model/split_batch.h>

#include <ATen/ATen.h>
#include <catch2/catch_test_macros.hpp>

#include <numeric>

using namespace antiphon;
using namespace antiphon::model;

namespace {

// Samples of these lengths, each supervised in its last two tokens, in groups of so many.
Batch batch_of(const std::vector<int64_t>& lengths, const std::vector<int64_t>& groups, int64_t padding = 0) {
  Batch batch;
  int64_t tokens = 0;
  std::vector<int64_t> supervised;
  for (size_t i = 0; i < lengths.size(); ++i) {
    tokens += lengths[i];
    supervised.insert(supervised.end(), {tokens - 3, tokens - 2});
    batch.sequences.push_back({"s" + std::to_string(i), 2});
    batch.media.push_back({.stream = "image", .sample_id = "s" + std::to_string(i), .position = tokens - lengths[i]});
  }
  batch.lengths = lengths;
  if (padding > 0) batch.lengths.push_back(padding);  // as data::pack() has it
  batch.groups = groups, batch.padding = padding;
  batch.ids_t = at::arange(tokens + padding);
  batch.positions_at = at::arange(tokens + padding).unsqueeze(0);
  batch.supervised_n = at::tensor(supervised);
  batch.labels_n = batch.ids_t.index({batch.supervised_n + 1});
  return batch;
}

}  // namespace

TEST_CASE("a batch in two halves has the same samples, tokens and labels") {
  const auto batch = batch_of({4, 5, 3, 7, 6}, {1, 1, 1, 1, 1}, 3);
  const auto halves = halves_of(batch);
  REQUIRE(halves);
  const auto& [first, second] = *halves;
  CHECK(first.lengths == std::vector<int64_t>{4, 5, 3});
  CHECK(second.lengths == std::vector<int64_t>{7, 6, 3});
  CHECK((first.padding == 0 && second.padding == 3));
  CHECK(at::equal(at::cat({first.ids_t, second.ids_t}), batch.ids_t));
  CHECK(at::equal(at::cat({first.positions_at, second.positions_at}, 1), batch.positions_at));
  CHECK(at::equal(at::cat({first.labels_n, second.labels_n}), batch.labels_n));
  for (const auto* half : {&first, &second}) {
    CHECK(at::equal(half->ids_t.index({half->supervised_n + 1}), half->labels_n));
    CHECK(half->sequences.size() + (half->padding > 0) == half->lengths.size());
    CHECK(std::accumulate(half->lengths.begin(), half->lengths.end(), int64_t{0}) == half->tokens());
    REQUIRE(half->media.size() == half->sequences.size());
    int64_t begin = 0;
    for (size_t i = 0; i < half->media.size(); begin += half->lengths[i++]) {
      CHECK(half->media[i].position == begin);
      CHECK(half->media[i].sample_id == half->sequences[i].id);
    }
  }
}

TEST_CASE("a batch is cut between groups, and not if it has one") {
  const auto halves = halves_of(batch_of({4, 4, 20, 20, 4, 4}, {2, 2, 2}));
  REQUIRE(halves);
  CHECK(halves->first.groups == std::vector<int64_t>{2, 2});
  CHECK(halves->second.lengths == std::vector<int64_t>{4, 4});
  CHECK_FALSE(halves_of(batch_of({4, 4}, {2})));
  const auto last = halves_of(batch_of({40, 4}, {1, 1}));
  REQUIRE(last);
  CHECK(last->first.lengths == std::vector<int64_t>{40});
}
