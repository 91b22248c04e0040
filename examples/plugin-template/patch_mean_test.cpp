#include "patch_mean.h"

#include <ATen/ATen.h>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;

TEST_CASE("a picture of one colour gives the same vector for every square") {
  patch_mean::PatchMean encoder({.hidden_size = 5, .image_size = 8, .patch_size = 4});
  encoder.module().initialize(1, at::kCPU);
  MediaItem item;
  item.image = {.height = 3, .width = 7, .rgb = std::vector<uint8_t>(3 * 7 * 3, 200)};
  const auto parts = encoder.process(item);
  REQUIRE(parts.size() == 1);
  CHECK(at::allclose(parts[0], at::full({3, 8, 8}, 200.0 / 255)));
  const auto y = encoder.forward(parts[0].unsqueeze(0));
  CHECK(y.sizes() == at::IntArrayRef({1, 4, 5}));
  CHECK(at::allclose(y, y.narrow(1, 0, 1).expand_as(y), 1e-4, 1e-5));
}

TEST_CASE("sizes that do not fit are refused") {
  CHECK_THROWS_AS(patch_mean::PatchMean({.hidden_size = 5, .image_size = 9, .patch_size = 4}), Error);
}
