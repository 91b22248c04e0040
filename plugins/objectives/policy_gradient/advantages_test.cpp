#include "advantages.h"

#include <antiphon/base/error.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <limits>

using namespace antiphon;
using namespace antiphon::policy_gradient;
using Catch::Approx;

namespace {

const double unknown = std::numeric_limits<double>::quiet_NaN();

std::vector<double> advantages(const std::string& kind, const std::vector<double>& rewards,
                               const std::vector<int64_t>& groups) {
  Method method;
  method.advantage = kind;
  return advantages_of(rewards, groups, method);
}

void check(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(expected[i]).margin(1e-12));
}

}  // namespace

TEST_CASE("an answer is compared with those to its own prompt", "[policy_gradient]") {
  const std::vector<double> rewards{1, 2, 6, 10, 0, 0};
  const double one = 2 / (std::sqrt(7) + 1e-4), other = 20.0 / 3 / (std::sqrt(100.0 / 3) + 1e-4);
  check(advantages("mean", rewards, {3, 3}), {-2, -1, 3, 20.0 / 3, -10.0 / 3, -10.0 / 3});
  check(advantages("group", rewards, {3, 3}), {-one, -one / 2, 1.5 * one, other, -other / 2, -other / 2});
  check(advantages("leave_one_out", rewards, {3, 3}), {-3, -1.5, 4.5, 10, -5, -5});
}

TEST_CASE("a reward that is not known is no part of its group", "[policy_gradient]") {
  for (const std::string kind : {"mean", "group", "leave_one_out"}) {
    const auto without = advantages(kind, {1, 4}, {2});
    check(advantages(kind, {unknown, 1, unknown, 4}, {4}), {0, without[0], 0, without[1]});
    check(advantages(kind, {unknown, 7, unknown, unknown}, {2, 2}), {0, 0, 0, 0});
  }
}

TEST_CASE("equal rewards teach nothing, whatever their mean rounds to", "[policy_gradient]") {
  for (const std::string kind : {"mean", "group", "leave_one_out"})
    for (const double reward : {0.0, 0.1, 1e-9, -1.0 / 3})
      for (const double advantage : advantages(kind, std::vector<double>(7, reward), {7})) CHECK(advantage == 0);
  const auto close = advantages("group", {0.1, 0.1, 0.1 + 1e-6}, {3});
  CHECK(close[2] > 0);  // they are compared to the bit
}

TEST_CASE("a preset has no option that says nothing", "[policy_gradient]") {
  CHECK(method_of({.preset = "dr_grpo", .length = 64}).length == 64);
  CHECK(method_of({.preset = "rloo"}).kl == 0.05);
  CHECK(method_of({.preset = "rloo", .kl = 0}).kl == 0);
  CHECK_THROWS_AS(method_of({.preset = "dr_grpo"}), Error);
  CHECK_THROWS_AS(method_of({.preset = "grpo", .length = 64}), Error);
  CHECK_THROWS_AS(method_of({.preset = "cispo", .clip_low = 0.2}), Error);
  CHECK_THROWS_AS(method_of({.preset = "reinforce", .clip_low = 0.2}), Error);
  CHECK_THROWS_AS(method_of({.preset = "reinforce", .clip_high = 0.2}), Error);
}
