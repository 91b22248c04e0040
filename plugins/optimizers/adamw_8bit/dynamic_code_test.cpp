#include "dynamic_code.h"

#include <ATen/ATen.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon::adamw_8bit;
using Catch::Approx;

// The values by hand: each decade's first and last part, and the counts.
TEST_CASE("the dynamic map: 256 different values, more of them where they are large") {
  const auto with_sign = dynamic_map(true), without = dynamic_map(false);
  for (const auto& map : {with_sign, without}) {
    REQUIRE(map.numel() == 256);
    CHECK((map.diff() > 0).all().item<bool>());
    CHECK(map[255].item<float>() == 1);
  }
  CHECK(with_sign[127].item<float>() == 0);
  CHECK(with_sign[128].item<float>() == Approx(0.55e-6));
  CHECK(with_sign[129].item<float>() == Approx(0.325e-5));
  CHECK(with_sign[0].item<float>() == Approx(-(1 - 0.9 / 128)));
  CHECK(with_sign[254].item<float>() == Approx(1 - 0.9 / 128));
  CHECK(without[0].item<float>() == 0);
  CHECK(without[1].item<float>() == Approx(0.325e-6));
  CHECK(without[2].item<float>() == Approx(0.775e-6));
  CHECK(without[254].item<float>() == Approx(1 - 0.9 / 256));
}

TEST_CASE("what is encoded is decoded to the nearest of the map, block by block") {
  const DynamicCode code(/*with_sign=*/true, 4);
  const auto x = at::tensor({0.5f, -2.0f, 1e-3f, 0.0f, 1e-6f, 1e-8f, -1e-9f}).view({7, 1});
  REQUIRE(code.blocks(7) == 2);
  const auto codes = at::zeros({7, 1}, at::kByte), scales = at::zeros({2});
  code.encode(x, codes, scales);
  CHECK(scales[0].item<float>() == 2.0f);
  CHECK(scales[1].item<float>() == 1e-6f);
  const auto y = code.decode(codes, scales);
  REQUIRE(y.sizes() == x.sizes());
  CHECK(y[4].item<float>() == 1e-6f);
  const auto per_value = scales.repeat_interleave(4).slice(0, 0, 7);
  const auto errors = (x.view({7, 1}) / per_value.view({7, 1}) - dynamic_map(true).view({1, 256})).abs();
  CHECK(at::allclose((y - x).view({7}).abs() / per_value, std::get<0>(errors.min(1)), 1e-4, 1e-7));
}

TEST_CASE("a block of zeros stays one") {
  const DynamicCode code(/*with_sign=*/false, 4);
  const auto codes = at::zeros({6}, at::kByte), scales = at::zeros({2});
  code.encode(at::zeros({6}), codes, scales);
  CHECK(at::equal(code.decode(codes, scales), at::zeros({6})));
}
