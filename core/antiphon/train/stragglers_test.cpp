#include <antiphon/train/stragglers.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon::train;
using Catch::Approx;

namespace {

std::vector<StepWork> work_of(const std::vector<double>& seconds, const std::vector<int>& stages = {}) {
  std::vector<StepWork> work;
  for (size_t i = 0; i < seconds.size(); ++i) work.push_back({seconds[i], stages.empty() ? 0 : stages[i]});
  return work;
}

// Ranks that are found in `steps` steps of the same seconds.
std::vector<int> found_in(Stragglers& stragglers, int64_t steps, const std::vector<StepWork>& work) {
  std::vector<int> ranks;
  for (int64_t i = 0; i < steps; ++i)
    for (const auto& found : stragglers.add(work)) ranks.push_back(found.rank);
  return ranks;
}

}  // namespace

TEST_CASE("stragglers: one that is slower for so many steps in a row is told once") {
  Stragglers stragglers(1.5);
  const auto slow = work_of({1, 1, 1.6, 1.1});
  CHECK(found_in(stragglers, Stragglers::kSteps - 1, slow).empty());
  const auto found = stragglers.add(slow);
  REQUIRE(found.size() == 1);
  CHECK(found[0].rank == 2);
  CHECK(found[0].seconds == Approx(1.6));
  CHECK(found[0].median == Approx(1));
  CHECK(found_in(stragglers, 100, slow).empty());
  CHECK(found_in(stragglers, Stragglers::kSteps, work_of({1, 9, 9, 1, 1})) == std::vector<int>{1});
}

TEST_CASE("stragglers: a step as fast as the others begins the count anew") {
  Stragglers stragglers(2);
  for (int i = 0; i < 5; ++i) {
    CHECK(found_in(stragglers, Stragglers::kSteps - 1, work_of({1, 2.1})).empty());
    CHECK(stragglers.add(work_of({1, 2})).empty());
  }
  CHECK(found_in(stragglers, Stragglers::kSteps, work_of({1, 2.1})) == std::vector<int>{1});
}

TEST_CASE("stragglers: of two the faster is the median, and nobody is slower than all") {
  Stragglers stragglers(1.5);
  CHECK(found_in(stragglers, Stragglers::kSteps, work_of({3, 1})) == std::vector<int>{0});
  Stragglers alone(1.5);
  CHECK(found_in(alone, 100, work_of({5})).empty());
  CHECK(found_in(alone, 100, work_of({5, 5, 5})).empty());
  CHECK(found_in(alone, 100, work_of({0, 0})).empty());
}

TEST_CASE("stragglers: stages of a pipeline have other work; only those of one are compared") {
  Stragglers stragglers(1.5);
  CHECK(found_in(stragglers, 100, work_of({1, 9}, {0, 1})).empty());
  CHECK(found_in(stragglers, 100, work_of({1, 1, 9, 9}, {0, 0, 1, 1})).empty());
  CHECK(found_in(stragglers, Stragglers::kSteps, work_of({1, 2, 9, 9}, {0, 0, 1, 1})) == std::vector<int>{1});
}

TEST_CASE("stragglers: turned off") {
  Stragglers stragglers(0);
  CHECK(found_in(stragglers, 100, work_of({1, 100})).empty());
}

TEST_CASE("stragglers: what is said names the process and its machine") {
  const auto text = described({3, 0.4125, 0.1}, "node-7");
  CHECK(text.starts_with("process 3 on node-7 is slower than the others: 0.412 s of work a step over the last 20"));
  CHECK(text.find("the median is 0.100 s") != std::string::npos);
}
