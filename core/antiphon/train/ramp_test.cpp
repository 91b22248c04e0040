#include <antiphon/train/ramp.h>

#include <map>
#include <set>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::train;

namespace {

std::vector<int64_t> batches_of(const RampOptions& options, int64_t all, const std::vector<int64_t>& taken) {
  std::vector<int64_t> batches;
  for (const auto one : taken) batches.push_back(Ramp(options, all).batches(one));
  return batches;
}

size_t problems_of(const RampOptions& ramp, int64_t accumulate, int64_t unit = 1, double max_minutes = 0) {
  TrainOptions options;
  options.ramp = ramp, options.accumulate = accumulate, options.max_minutes = max_minutes;
  config::Problems problems;
  check_ramp(options, unit, problems);
  return problems.size();
}

}  // namespace

TEST_CASE("ramp: so many more batches every so many steps, and train.accumulate at most") {
  using V = std::vector<int64_t>;
  CHECK(batches_of({.from = 1, .by = 1, .every = 3}, 4, {0, 2, 3, 5, 6, 8, 9, 10, 1000000000}) ==
        V{1, 1, 2, 2, 3, 3, 4, 4, 4});
  CHECK(batches_of({.from = 2, .by = 4, .every = 1}, 8, {0, 1, 2, 3}) == V{2, 6, 8, 8});
  CHECK(batches_of({.from = 8, .by = 1, .every = 1}, 8, {0, 1}) == V{8, 8});
  CHECK(batches_of({}, 5, {0, 7}) == V{5, 5});
  CHECK_FALSE(Ramp({}, 5).any());
  CHECK_FALSE(Ramp({.from = 5}, 5).any());
  CHECK(Ramp({}, 5).settings().empty());
  const Ramp ramp({.from = 2, .by = 4, .every = 10}, 8);
  CHECK(ramp.describe() == "2 batches at first, 4 more every 10 steps, 8 from step 21 on");
  CHECK((ramp.batches(19) < 8 && ramp.batches(20) == 8));
}

TEST_CASE("ramp: each row has its turn as often, and processes have as many rows") {
  for (int64_t all = 1; all <= 12; ++all)
    for (int64_t batches = 1; batches <= all; ++batches) {
      INFO(batches << " of " << all);
      std::map<int64_t, int64_t> turns;
      for (int64_t taken = 5; taken < 5 + all; ++taken) {
        const auto rows = rows_of_step(batches, all, taken);
        REQUIRE(std::set(rows.begin(), rows.end()).size() == static_cast<size_t>(batches));
        for (const auto row : rows) {
          REQUIRE((row >= 0 && row < all));
          ++turns[row];
        }
        for (int64_t n = 1; n <= all; ++n) {
          if (all % n != 0 || batches % n != 0) continue;
          std::map<int64_t, int64_t> of_process;
          for (const auto row : rows) ++of_process[row / (all / n)];
          for (int64_t process = 0; process < n; ++process) REQUIRE(of_process[process] == batches / n);
        }
      }
      for (int64_t row = 0; row < all; ++row) CHECK(turns[row] == batches);
    }
  CHECK(rows_of_step(3, 3, 7) == std::vector<int64_t>{0, 1, 2});
}

TEST_CASE("ramp: what cannot be is said") {
  CHECK(problems_of({}, 4, 3, 10) == 0);
  CHECK(problems_of({.from = 2, .by = 2}, 4, 2) == 0);
  CHECK(problems_of({.from = 5}, 4) == 1);
  CHECK(problems_of({.from = 1}, 4, 2) == 1);
  CHECK(problems_of({.from = 2, .by = 3}, 8, 2) == 1);
  CHECK(problems_of({.from = 2}, 4, 1, 0.5) == 1);
}
