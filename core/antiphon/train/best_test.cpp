#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/train/best.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

#include <cmath>

using namespace antiphon;
using namespace antiphon::train;

namespace {

TrainOptions best_options(int64_t keep, int64_t patience, const std::string& mode = "min") {
  TrainOptions options;
  options.keep_best = keep, options.patience = patience, options.eval_every = 2;
  options.best_metric = "eval/held/loss", options.best_mode = mode;
  return options;
}

std::vector<int64_t> steps_of(const Best& best) {
  std::vector<int64_t> steps;
  for (const auto& one : best.state().kept) steps.push_back(one.step);
  return steps;
}

using Steps = std::vector<int64_t>;

}  // namespace

TEST_CASE("a metric of answers waits for the next measurement that has some") {
  const Best best(TrainOptions{.eval_every = 1, .eval_answers = 3, .keep_best = 1, .best_metric = "eval/held/wer"});
  CHECK(best.waits_for_answers({{"eval/held/loss", 1}, {kAnswers, 0}}));
  CHECK_FALSE(best.waits_for_answers({{"eval/held/wer", 1}, {kAnswers, 3}}));
  CHECK_FALSE(best.waits_for_answers({{"eval/held/loss", 1}, {kAnswers, 3}}));  // which is then an error
  CHECK_FALSE(best.waits_for_answers({{"eval/held/loss", 1}}));
}

TEST_CASE("the best k are kept, from the best on, the earlier first of equal ones") {
  Best best(best_options(2, 0));
  CHECK(best.add(1, 3));
  CHECK(best.add(2, 2));
  CHECK_FALSE(best.add(3, 3));
  CHECK(steps_of(best) == Steps{2, 1});
  CHECK(best.add(4, 1));
  CHECK(steps_of(best) == Steps{4, 2});
  CHECK_FALSE(best.add(5, NAN));
  CHECK_FALSE(best.add(6, -INFINITY));
  best.drop(4);
  CHECK(steps_of(best) == Steps{2});
  CHECK(best.describe() == "eval/held/loss 1.0000 at step 4");
  Best largest(best_options(1, 0, "max"));
  CHECK((largest.add(1, 1) && largest.add(2, 2)));
  CHECK_FALSE(largest.add(3, 1.5));
  CHECK(steps_of(largest) == Steps{2});
}

TEST_CASE("patience counts measurements since the best, over a restart too") {
  Best best(best_options(0, 2));
  best.add(1, 2), best.add(2, 2);
  CHECK_FALSE(best.has_stopped());
  Best again(best_options(0, 2));
  again.restore(best.state());
  CHECK_FALSE(again.has_stopped());
  again.add(3, 2.5);
  CHECK(again.has_stopped());
  CHECK(again.state().kept.empty());
  Best other(best_options(0, 2, "max"));
  other.restore(again.state());
  CHECK_FALSE(other.has_stopped());
  Best never(best_options(1, 0));
  for (int step = 1; step < 50; ++step) never.add(step, 1);
  CHECK_FALSE(never.has_stopped());
}

TEST_CASE("the metric is looked up; a set that could not be measured has none, another name is an error") {
  const Best best(best_options(1, 0));
  CHECK(best.value_in({{"eval/held/loss", 0.5}, {"eval/held/failed", 0}}) == 0.5);
  CHECK(std::isnan(best.value_in({{"eval/held/failed", 0}, {"eval/held/not_finite", 2}})));
  CHECK_THROWS_AS(best.value_in({{"eval/other/loss", 0.5}, {"eval/held/not_finite", 0}}), Error);
}

TEST_CASE("best checkpoints without a metric or without measurements are problems") {
  const auto count = [](const TrainOptions& options) {
    config::Problems problems;
    check_best(options, problems);
    return problems.size();
  };
  CHECK(count({}) == 0);
  CHECK(count(best_options(1, 3)) == 0);
  CHECK(count(best_options(0, 0)) == 1);
  auto options = best_options(1, 0);
  options.best_metric.clear(), options.eval_every = 0;
  CHECK(count(options) == 2);
}

TEST_CASE("the folder of the best holds the checkpoints that are named, and no others") {
  weights::TestFolder folder;
  const auto& run = folder.path();
  const auto write = [&](int64_t step) {
    const auto path = run / "checkpoints" / ("step_" + std::to_string(step));
    std::filesystem::create_directories(path);
    write_file_atomic(path / "manifest.json", std::to_string(step), ErrorKind::weights);
  };
  for (const int64_t step : {2, 4, 6}) write(step);
  keep_checkpoints_of({{4, 1}, {2, 2}}, run);
  std::filesystem::remove_all(run / "checkpoints" / "step_4");
  CHECK(read_file(run / "best/step_4/manifest.json", ErrorKind::weights) == "4");
  keep_checkpoints_of({{6, 0.5}, {4, 1}, {8, 2}}, run);  // one of 8 is not there
  CHECK(std::filesystem::exists(run / "best/step_6/manifest.json"));
  CHECK(std::filesystem::exists(run / "best/step_4/manifest.json"));
  CHECK_FALSE(std::filesystem::exists(run / "best/step_2"));
  CHECK_FALSE(std::filesystem::exists(run / "best/step_8"));
}
