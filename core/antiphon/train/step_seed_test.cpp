#include <antiphon/train/step_seed.h>

#include <ATen/ATen.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon::train;

namespace {

at::Tensor draw(uint64_t seed, int64_t step, int64_t row) {
  seed_generators(at::kCPU, seed_of(seed, step, row));
  return at::rand({8});
}

}  // namespace

TEST_CASE("step seed: the same numbers for the same batch of the same step, whatever was drawn before") {
  const auto first = draw(3, 7, 1);
  at::rand({100});
  CHECK(at::equal(draw(3, 7, 1), first));
}

TEST_CASE("step seed: others for another run, step or row") {
  const auto first = draw(3, 7, 1);
  for (const auto& other : {draw(4, 7, 1), draw(3, 8, 1), draw(3, 7, 2), draw(7, 3, 1), draw(3, 1, 7)})
    CHECK_FALSE(at::equal(other, first));
}
