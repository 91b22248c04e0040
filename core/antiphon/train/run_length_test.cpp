#include <antiphon/train/optimizer.h>
#include <antiphon/train/run_length.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon::train;
using Catch::Approx;

namespace {

RunLength of(int64_t steps, double minutes) {
  TrainOptions options;
  options.steps = steps;
  options.max_minutes = minutes;
  return RunLength(options);
}

// Gives steps of these seconds until one fixes the number; returns how many it took.
int64_t measure(RunLength& length, double first, double others) {
  int64_t taken = 1;
  for (bool known = length.add(1, first); !known && taken < 1000;) known = length.add(++taken, others);
  return taken;
}

}  // namespace

TEST_CASE("run length: without a limit the configured steps") {
  auto length = of(5, 0);
  CHECK_FALSE(length.add(1, 1e6));
  CHECK(length.steps() == 5);
  CHECK_FALSE(length.done(4));
  CHECK(length.done(5));
  CHECK(length.seconds_left(1) == Approx(4e6));
}

TEST_CASE("run length: as many steps as fit, found once from the steps after the first") {
  auto length = of(1000, 10);
  CHECK(measure(length, 9, 1) == 10);  // 18 s are 3 % of ten minutes
  CHECK(length.seconds_per_step(10) == Approx(1));
  CHECK(length.steps() == 10 + 582);
  for (int64_t step = 11; step <= 60; ++step) CHECK_FALSE(length.add(step, 5));
  CHECK(length.steps() == 592);
  CHECK(length.done(592));
  CHECK_FALSE(length.done(60));
}

TEST_CASE("run length: no more steps than configured, and none after the time") {
  auto quick = of(100, 10);
  CHECK(measure(quick, 0.5, 0.4) < 100);
  CHECK(quick.steps() == 100);
  auto slow = of(900, 9.5);
  CHECK(slow.add(1, 261));
  CHECK(slow.steps() == 2);
  CHECK_FALSE(slow.done(1));
  slow.add(2, 700);  // longer than what was left
  CHECK(slow.done(2));
  CHECK(slow.seconds_left(2) == 0);
  auto slower = of(900, 1);
  CHECK(slower.add(1, 261));
  CHECK(slower.done(1));
  CHECK(slower.steps() == 1);
}

TEST_CASE("run length: a restored one keeps its number, whatever the clock says then") {
  auto length = of(1000, 10);
  const auto taken = measure(length, 2, 1);
  auto resumed = of(1000, 10);
  resumed.restore(length.state());
  for (int64_t step = taken + 1; step < taken + 20; ++step) {
    length.add(step, 1), resumed.add(step, 7);
    CHECK(lr_ratio({}, step, length.steps()) == lr_ratio({}, step, resumed.steps()));
  }
  auto longer = of(1000, 20);  // another limit: planned anew
  longer.restore(length.state());
  CHECK(longer.steps() == 1000);
  CHECK(longer.add(taken + 20, 1));
  CHECK(longer.steps() > length.steps());
}
