#include <antiphon/train/out_of_memory.h>

#include <ATen/ATen.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;

TEST_CASE("out of memory: the longest samples of a step are named, with their lengths") {
  model::Batch one, two;
  one.ids_t = at::zeros({10}, at::kLong), two.ids_t = at::zeros({64}, at::kLong);
  one.lengths = {4, 6}, one.sequences = {{"a"}, {"b"}};
  two.lengths = {9, 1, 2, 3, 49}, two.sequences = {{"c"}, {"d"}, {"e"}, {"f"}};  // padding comes last
  CHECK(
      train::described_by_length({one, two}) ==
      "2 batches of at most 64 tokens; the longest samples: c (9 tokens), b (6 tokens), a (4 tokens), f (3 tokens), e "
      "(2 tokens) and 1 more");
}
