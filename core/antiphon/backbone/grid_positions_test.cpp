// Where tokens of a sample are, by the definition.
#include <ATen/ATen.h>

#include <antiphon/backbone/grid_positions.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::backbone;

namespace {

at::Tensor numbers(std::vector<int64_t> all) {
  const auto tokens = static_cast<int64_t>(all.size()) / 3;
  return at::tensor(all, at::kLong).view({3, tokens});
}

}  // namespace

TEST_CASE("text counts on by three equal numbers; a picture takes as many positions as its longer edge") {
  const SampleLayout layout{9, {{1, 6, {{2, 3}}}}};
  CHECK(at::equal(grid_positions(layout, AfterMedium::largest), numbers({0, 1, 1, 1, 1, 1, 1, 4, 5,  //
                                                                         0, 1, 1, 1, 2, 2, 2, 4, 5,  //
                                                                         0, 1, 2, 3, 1, 2, 3, 4, 5})));
  CHECK(at::equal(grid_positions({3, {}}, AfterMedium::largest), numbers({0, 1, 2, 0, 1, 2, 0, 1, 2})));
}

TEST_CASE("the parts of a video are apart by part_step, cut to whole positions; what follows goes on by either rule") {
  const SampleLayout layout{5, {{1, 3, {{1, 1}, {1, 1}, {1, 1}}, 1.5}}};
  CHECK(
      at::equal(grid_positions(layout, AfterMedium::largest), numbers({0, 1, 2, 4, 5, 0, 1, 1, 1, 5, 0, 1, 1, 1, 5})));
  CHECK(at::equal(grid_positions(layout, AfterMedium::grid), numbers({0, 1, 2, 4, 2, 0, 1, 1, 1, 2, 0, 1, 1, 1, 2})));
}

TEST_CASE(
    "a video and its sound begin together; what follows goes on after the last run, the marks beside their "
    "neighbours") {
  const SampleLayout layout{11, {{1, 8, {{1, 1}, {1, 1}, {1, 1}}, 2, {2, 2, 1, 1}}}};
  const auto expected = numbers({0, 0, 1, 3, 1, 2, 5, 3, 4, 4, 5,  //
                                 0, 0, 1, 1, 1, 2, 1, 3, 4, 4, 5,  //
                                 0, 0, 1, 1, 1, 2, 1, 3, 4, 4, 5});
  CHECK(at::equal(grid_positions(layout, AfterMedium::largest), expected));
  CHECK(at::equal(grid_positions(layout, AfterMedium::grid), expected));
}

TEST_CASE("a run of none is none; a video that ends is followed by what lies behind its largest position") {
  const SampleLayout layout{9, {{1, 7, {{1, 3}, {1, 1}}, 3, {3, 1, 1, 0}}}};
  CHECK(at::equal(grid_positions(layout, AfterMedium::largest), numbers({0, 0, 1, 1, 1, 1, 4, 5, 5,  //
                                                                         0, 0, 1, 1, 1, 1, 1, 5, 5,  //
                                                                         0, 0, 1, 2, 3, 1, 1, 5, 5})));
}

TEST_CASE("embeddings that are not those of the parts count as text") {
  CHECK(at::equal(grid_positions({6, {{1, 5, {{2, 2}}}}}, AfterMedium::largest),
                  at::arange(6, at::kLong).expand({3, 6})));
}
