// A copy that bypasses the caches is exact.
#include <ATen/ATen.h>

#include <antiphon/kernels/stream_copy.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon::kernels;

TEST_CASE("a copy past the caches holds the same bits, wherever it begins and ends, and nothing beyond") {
  at::manual_seed(1);
  const auto from = at::randint(0, 256, {(3 << 20) + 200}, at::kByte);
  for (const int64_t skip : {0, 1, 63, 64, 100})
    for (const int64_t size : {10, 1 << 20, (2 << 20) + 1, (3 << 20) + 37}) {
      const auto to = at::zeros_like(from);
      stream_copy(to.narrow(0, skip, size), from.narrow(0, 3, size));
      CHECK(at::equal(to.narrow(0, skip, size), from.narrow(0, 3, size)));
      CHECK(to.count_nonzero().item<int64_t>() == from.narrow(0, 3, size).count_nonzero().item<int64_t>());
    }
}

TEST_CASE("a copy past the caches takes tensors that are not dense, and other types") {
  at::manual_seed(1);
  const auto from = at::randn({1024, 1024});
  const auto to = at::empty({1024, 1024});
  stream_copy(to, from.t());
  CHECK(at::equal(to, from.t()));
  stream_copy(to.t(), from);
  CHECK(at::equal(to.t(), from));
  stream_copy(to, from.to(at::kDouble));
  CHECK(at::equal(to, from));
}
