#include <antiphon/train/out_of_memory.h>

#include <ATen/ATen.h>

#include <new>
#include <stdexcept>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;

TEST_CASE("out of memory: LibTorch's exceptions are told from others") {
  CHECK(train::is_out_of_memory(std::bad_alloc()));
  CHECK(train::is_out_of_memory(c10::OutOfMemoryError({"", "", 0}, "CUDA out of memory.")));
  CHECK_FALSE(train::is_out_of_memory(std::runtime_error("DefaultCPUAllocator: not enough memory")));
  bool thrown = false;
  try {
    (void)at::empty({int64_t{1} << 60}, at::kChar);
  } catch (const std::exception& error) {
    thrown = true;
    CHECK(train::is_out_of_memory(error));
  }
  CHECK(thrown);
  try {
    (void)at::ones({2}).view({3});
  } catch (const std::exception& error) {
    CHECK_FALSE(train::is_out_of_memory(error));
  }
}

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
