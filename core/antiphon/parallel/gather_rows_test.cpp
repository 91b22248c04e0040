#include <antiphon/parallel/gather_rows.h>

#include <ATen/ATen.h>

#include <antiphon/comm/test_group.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon::parallel;
using antiphon::comm::testing::my_place;
using antiphon::comm::testing::run_group;

TEST_CASE("rows of all processes, and where the own ones are among them") {
  CHECK(run_group(3, "member gathers rows") == 0);
  CHECK(gather_rows(at::ones({2, 2}), nullptr).first == 0);
}

// Process 0 has one row, 1 has two, 2 has three; a row says whose it is and which.
TEST_CASE("member gathers rows", "[.]") {
  antiphon::comm::Group group(my_place());
  const auto rows_of = [](int64_t rank) { return at::arange(2 * (rank + 1), at::kFloat).view({-1, 2}) + 100 * rank; };
  const auto gathered = gather_rows(rows_of(group.rank()), &group);
  CHECK(at::equal(gathered.rows, at::cat({rows_of(0), rows_of(1), rows_of(2)})));
  CHECK(at::equal(gathered.rows.narrow(0, gathered.first, group.rank() + 1), rows_of(group.rank())));
  group.wait_for_all();
}
