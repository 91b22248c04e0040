#include <antiphon/base/error.h>
#include <antiphon/profile/peak.h>
#include <antiphon/profile/profiler.h>
#include <antiphon/profile/table.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::profile;
using Catch::Approx;

namespace {
const std::vector<trace::Total> kTotals{{"step", "", true, 2, 0.1, 1e6},
                                        {"decoder", "", true, 4, 0.6, 3e9},
                                        {"feature cache", "", true, 3, 0.1, 0},
                                        {"prepare", "loader", false, 8, 5.0, 2e9}};
}

TEST_CASE("table: the parts asked for, then others, then what is left; the sum is the step") {
  const auto rows = rows_of(kTotals, 4e9, "step", {"data wait", "decoder", "backward"});
  std::vector<std::string> names;
  double seconds = 0, flops = 0;
  for (size_t i = 0; i + 1 < rows.size(); ++i) seconds += rows[i].seconds, flops += rows[i].flops;
  for (const auto& row : rows) names.push_back(row.part);
  CHECK(names == std::vector<std::string>{"data wait", "decoder", "backward", "feature cache", "other", "step"});
  CHECK(rows[0].calls == 0);
  CHECK(rows[2].flops == 4e9);
  CHECK(rows.back().calls == 2);
  CHECK(rows.back().seconds == Approx(0.8));
  CHECK(rows.back().seconds == Approx(seconds));
  CHECK(rows.back().flops == Approx(flops));
}

TEST_CASE("table: text") {
  const auto text = table_of(rows_of(kTotals, 0, "step", {"data wait"}), kTotals, 10e9);
  CHECK(text.find("decoder                        4     0.6000     75.0 %        3.000       5.0     50.0 %\n") !=
        std::string::npos);
  CHECK(text.find("loader threads, beside the steps: prepare 8 times, 5.0000 s\n") != std::string::npos);
  CHECK(text.find("nan") == std::string::npos);
  CHECK(table_of(rows_of({}, 0, "step", {"loss"}), {}, 1).find("nan") == std::string::npos);
}

TEST_CASE("profile steps") {
  CHECK(parse_steps("3-12") == std::pair<int64_t, int64_t>{3, 12});
  CHECK(parse_steps("5") == std::pair<int64_t, int64_t>{5, 5});
  for (const auto* text : {"", "0-3", "5-4", "-3", "3-", "x", "3-4x", "3 - 4", "99999999999999999999"})
    CHECK_THROWS_AS(parse_steps(text), Error);
}

TEST_CASE("the machine's peak") { CHECK(measured_peak(at::kCPU, at::kFloat) > 1e8); }
