#include <antiphon/train/optimizer.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon::train;
using Catch::Approx;

TEST_CASE("learning rate: a linear rise, then a half cosine or nothing") {
  const ScheduleOptions cosine{.name = "cosine", .warmup_steps = 4, .min_ratio = 0.1};
  CHECK(lr_ratio(cosine, 0, 20) == Approx(0.25));
  CHECK(lr_ratio(cosine, 3, 20) == Approx(1));
  CHECK(lr_ratio(cosine, 4, 20) == Approx(1));
  CHECK(lr_ratio(cosine, 12, 20) == Approx(0.55));
  CHECK(lr_ratio(cosine, 20, 20) == Approx(0.1));
  CHECK(lr_ratio(cosine, 1000, 20) == Approx(0.1));
  for (int64_t step = 4; step < 20; ++step) CHECK(lr_ratio(cosine, step + 1, 20) < lr_ratio(cosine, step, 20));
  const ScheduleOptions constant{.name = "constant", .warmup_steps = 2};
  CHECK(lr_ratio(constant, 0, 20) == Approx(0.5));
  CHECK(lr_ratio(constant, 19, 20) == Approx(1));
  const ScheduleOptions long_rise{.name = "cosine", .warmup_steps = 50};  // longer than the run
  CHECK(lr_ratio(long_rise, 19, 20) == Approx(0.4));
  CHECK(lr_ratio(long_rise, 50, 20) == Approx(1));
}
