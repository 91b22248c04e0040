#include <antiphon/profile/tensor_memory.h>

#include <ATen/ATen.h>

#include <thread>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon::profile;

TEST_CASE("tensors of the CPU are counted, those that oneDNN makes as well, and given back") {
  count_tensors(c10::kCPU, 64);
  count_tensors(c10::kMeta, 512);  // only the first counts
  const auto before = tensor_memory().now;
  {
    const auto x = at::empty({1000}, at::kFloat), y = at::empty({1}, at::kFloat);
    CHECK(tensor_memory().now - before == 4032 + 64);  // 4000 bytes are 62.5 units
    const auto z = at::gelu(at::ones({64, 64}));
    CHECK(tensor_memory().now - before >= 4096 + 64 * 64 * 4);
  }
  CHECK(tensor_memory().now == before);
  CHECK(tensor_memory().most - before >= 4096 + 2 * 64 * 64 * 4);
  forget_most();
  CHECK(tensor_memory().most == tensor_memory().now);
}

TEST_CASE("what a thread allocates that does not count is not counted, whoever gives it back") {
  count_tensors(c10::kCPU, 64);
  const auto before = tensor_memory().now;
  at::Tensor prepared;
  std::thread([&] {
    const NotCounted not_counted;
    prepared = at::empty({1000}, at::kFloat);
  }).join();
  CHECK(tensor_memory().now == before);
  const auto x = at::empty({1000}, at::kFloat);
  prepared.reset();
  CHECK(tensor_memory().now - before == 4032);
}
