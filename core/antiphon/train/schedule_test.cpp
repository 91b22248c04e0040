#include <antiphon/base/error.h>
#include <antiphon/train/schedule.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

using namespace antiphon::train;
using Catch::Approx;

namespace {

// Step and rate, of 100 steps.
void check_rates(const ScheduleOptions& schedule, const std::vector<std::pair<int64_t, double>>& expected) {
  for (const auto& [step, rate] : expected) {
    INFO(schedule.name << " at step " << step);
    CHECK(lr_ratio(schedule, step, 100) == Approx(rate).epsilon(1e-12));
  }
}

size_t schedule_problems(const ScheduleOptions& schedule) {
  antiphon::config::Problems problems;
  check_schedule(schedule, problems);
  return problems.size();
}

}  // namespace

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

// The values are written out by hand from each formula.
TEST_CASE("learning rate: parts at the peak and at the minimum around a fall") {
  const double pi = std::numbers::pi;
  check_rates(
      {.name = "cosine", .warmup_steps = 10, .min_ratio = 0.2, .hold_steps = 10, .constant_steps = 20},
      {{9, 1}, {19, 1}, {20, 1}, {35, 0.2 + 0.8 * (1 + std::cos(pi / 4)) / 2}, {50, 0.6}, {80, 0.2}, {99, 0.2}});
  check_rates({.name = "linear", .warmup_steps = 20, .min_ratio = 0.2},
              {{4, 0.25}, {20, 1}, {40, 0.8}, {60, 0.6}, {99, 0.2 + 0.8 / 80}, {100, 0.2}, {200, 0.2}});
  check_rates({.name = "polynomial", .min_ratio = 0.1, .hold_steps = 20, .constant_steps = 30, .power = 2},
              {{0, 1}, {20, 1}, {45, 0.1 + 0.9 * 0.25}, {60, 0.1 + 0.9 * 0.04}, {70, 0.1}, {90, 0.1}});
  check_rates({.name = "wsd", .warmup_steps = 10, .min_ratio = 0.5, .decay_steps = 20},
              {{4, 0.5}, {10, 1}, {79, 1}, {80, 1}, {90, 0.75}, {99, 0.525}, {100, 0.5}});
  check_rates({.name = "wsd", .constant_steps = 10, .decay_steps = 40, .decay = "one_minus_sqrt"},
              {{50, 1}, {60, 0.5}, {86, 1 - std::sqrt(0.9)}, {95, 0}});
  check_rates({.name = "wsd", .decay_steps = 40, .decay = "cosine"}, {{60, 1}, {80, 0.5}});
  check_rates({.name = "wsd", .warmup_steps = 70, .decay_steps = 40}, {{69, 1}, {70, 1}, {85, 0.5}});
}

TEST_CASE("learning rate: one over the root of the step") {
  check_rates({.name = "inverse_sqrt", .warmup_steps = 9, .min_ratio = 0.32},
              {{4, 5.0 / 9}, {8, 1}, {9, 1}, {39, 0.5}, {99, 0.32}, {999, 0.32}});
  check_rates({.name = "noam", .warmup_steps = 9}, {{0, 1.0 / 9}, {8, 1}, {35, 0.5}, {80, 1.0 / 3}});
  check_rates({.name = "noam", .warmup_steps = 9, .hold_steps = 5}, {{13, 1}, {40, 0.5}});
  check_rates({.name = "noam"}, {{0, 1}, {3, 0.5}});
  // Vaswani et al. 2017, equation 3, in units of its peak, which is at its step 9.
  for (int64_t step = 1; step < 60; ++step) {
    const auto s = static_cast<double>(step);
    const double theirs = std::min(std::pow(s, -0.5), s * std::pow(9.0, -1.5)) / std::pow(9.0, -0.5);
    CHECK(lr_ratio({.name = "noam", .warmup_steps = 9}, step - 1, 60) == Approx(theirs).epsilon(1e-12));
  }
}

// nemo/core/optim/lr_scheduler.py, in units of the rate: CosineAnnealing, with the minimum held at the end as Megatron
// does, WarmupAnnealing, PolynomialHoldDecayAnnealing, InverseSquareRootAnnealing, NoamHoldAnnealing. s: steps, from 0.
TEST_CASE("learning rate: NeMo's, after its rise") {
  constexpr double w = 7, h = 11, c = 13, total = 100, m = 0.15, power = 1.7;
  const auto cosine = [](double s, double end) {
    return m + (1 - m) * (1 + std::cos(std::numbers::pi * (s - w) / (end - w))) / 2;
  };
  for (int64_t step = 8; step < 100; ++step) {
    const auto s = static_cast<double>(step);
    check_rates({.name = "cosine", .warmup_steps = 7, .min_ratio = m}, {{step, cosine(s, total)}});
    check_rates({.name = "cosine", .warmup_steps = 7, .min_ratio = m, .constant_steps = 13},
                {{step, s <= total - c ? cosine(s, total - c) : m}});
    check_rates({.name = "linear", .warmup_steps = 7, .min_ratio = m},
                {{step, m + (1 - m) * (1 - (s - w) / (total - w))}});
    const double left = 1 - (s - w - h) / (total - w - h);
    check_rates({.name = "polynomial", .warmup_steps = 7, .min_ratio = m, .hold_steps = 11, .power = power},
                {{step, s < w + h ? 1 : m + (1 - m) * std::pow(left, power)}});
    check_rates({.name = "inverse_sqrt", .warmup_steps = 7}, {{step, 1 / std::sqrt((s + 1) / (w + 1))}});
    const double next = s + 1;  // the step that it counts
    check_rates({.name = "noam", .warmup_steps = 7, .min_ratio = m, .hold_steps = 11},
                {{step, next < w + h ? 1 : std::max(m, std::sqrt(w) / std::sqrt(next - h))}});
  }
  for (int64_t step = 0; step <= 7; ++step)  // its rise
    check_rates({.name = "cosine", .warmup_steps = 8}, {{step, static_cast<double>(step + 1) / (w + 1)}});
}

TEST_CASE("a schedule's key that has no effect, or is missing, is a problem") {
  CHECK(schedule_problems({}) == 0);
  CHECK(schedule_problems({.name = "constant", .warmup_steps = 3, .min_ratio = 0.5}) == 0);
  CHECK(schedule_problems({.name = "wsd", .constant_steps = 1, .decay_steps = 4, .decay = "cosine"}) == 0);
  CHECK(schedule_problems({.name = "polynomial", .hold_steps = 1, .constant_steps = 1, .power = 2}) == 0);
  CHECK(schedule_problems({.name = "wsd"}) == 1);
  CHECK(schedule_problems({.name = "wsd", .hold_steps = 2, .decay_steps = 4}) == 1);
  CHECK(schedule_problems({.name = "cosine", .decay_steps = 4, .decay = "cosine", .power = 3}) == 3);
  CHECK(schedule_problems({.name = "inverse_sqrt", .constant_steps = 4}) == 1);
  CHECK(schedule_problems({.name = "constant", .hold_steps = 1, .constant_steps = 4}) == 2);
}
