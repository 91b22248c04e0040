#include <antiphon/train/loss_scale.h>

#include <cfloat>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon::train;

TEST_CASE("loss scale: an overflow halves it, and so many good steps in a row double it") {
  LossScale scale({.initial = 1024, .interval = 3});
  for (const bool overflow : {false, false, true, false, false}) scale.update(overflow);
  CHECK(scale.value() == 512);
  scale.update(false);
  CHECK(scale.value() == 1024);
  CHECK(scale.inverse() == 1.0f / 1024);
  CHECK(scale.overflows() == 1);
}

TEST_CASE("loss scale: factors of one's own; the largest float32 stays") {
  LossScale scale({.initial = 100, .growth = 1.5, .backoff = 0.1, .interval = 1});
  scale.update(true);
  CHECK(scale.value() == static_cast<float>(100 * 0.1));
  scale.update(false);
  CHECK(scale.value() == 15);
  LossScale largest({.initial = FLT_MAX, .interval = 1});
  largest.update(false);
  CHECK(largest.value() == FLT_MAX);
}

TEST_CASE("loss scale: goes on where it was") {
  LossScale scale({.interval = 4});
  for (const bool overflow : {true, false, false, false}) scale.update(overflow);
  LossScale other({.initial = 7, .interval = 4});
  other.restore(scale.state());
  other.update(false);
  CHECK(other.value() == 65536);
  CHECK(other.overflows() == 1);
}
