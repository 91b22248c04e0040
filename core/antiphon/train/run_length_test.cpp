#include <antiphon/train/run_length.h>
#include <antiphon/train/schedule.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon::train;
using Catch::Approx;

namespace {

RunLength of(int64_t steps, double minutes, int64_t min_steps = 0) {
  TrainOptions options;
  options.steps = steps, options.min_steps = min_steps;
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

TEST_CASE("run length: fewer steps than are worth the time") {
  auto slow = of(900, 9.5, 100);
  CHECK_FALSE(slow.too_few());
  CHECK(measure(slow, 20, 10) == 3);  // 40 s are more than 3 % of the time
  CHECK(slow.steps() == 3 + 53);
  CHECK(slow.too_few());
  CHECK(slow.sufficient_minutes(3) == 19);  // 40 s and 97 steps of 10 s, and a tenth of both
  auto again = of(900, 9.5, 100);
  again.restore(slow.state());
  CHECK(again.too_few());
  auto longer = of(900, 19, 100);
  longer.restore(slow.state());
  CHECK(longer.add(4, 10));
  CHECK_FALSE(longer.too_few());
  auto short_run = of(5, 1, 100);  // no run is asked for more steps than it has
  CHECK(measure(short_run, 1, 1) == 3);
  CHECK_FALSE(short_run.too_few());
}

TEST_CASE("run length: a step longer than the whole time") {
  auto length = of(900, 1);
  length.add(1, 59);
  CHECK_FALSE(length.outlasted());
  length.add(2, 61);
  CHECK(length.outlasted());
  CHECK(length.seconds_left(2) == 0);
  auto unbound = of(900, 0);
  unbound.add(1, 1e9);
  CHECK_FALSE(unbound.outlasted());
}

TEST_CASE("run length: what is left is never negative") {
  for (const double first : {0.0, 1e-9, 1.0, 50.0, 1e9})
    for (const double others : {0.0, 1e-9, 2.0, 1e9}) {
      auto length = of(20, 1);
      for (int64_t step = 1; step <= 25; ++step) {
        length.add(step, step == 1 ? first : others);
        CHECK(length.seconds_left(step) >= 0);
      }
    }
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
