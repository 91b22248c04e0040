#include <antiphon/comm/out_of_memory.h>

#include <ATen/ATen.h>

#include <new>
#include <stdexcept>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;

TEST_CASE("out of memory: LibTorch's exceptions are told from others") {
  CHECK(comm::is_out_of_memory(std::bad_alloc()));
  CHECK(comm::is_out_of_memory(c10::OutOfMemoryError({"", "", 0}, "CUDA out of memory.")));
  CHECK_FALSE(comm::is_out_of_memory(std::runtime_error("DefaultCPUAllocator: not enough memory")));
  bool thrown = false;
  try {
    (void)at::empty({int64_t{1} << 60}, at::kChar);
  } catch (const std::exception& error) {
    thrown = true;
    CHECK(comm::is_out_of_memory(error));
  }
  CHECK(thrown);
  try {
    (void)at::ones({2}).view({3});
  } catch (const std::exception& error) {
    CHECK_FALSE(comm::is_out_of_memory(error));
  }
}
