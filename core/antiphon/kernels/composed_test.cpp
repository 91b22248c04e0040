// The compositions of LibTorch's operations match the row kernels.
#include <ATen/ATen.h>

#include <antiphon/kernels/composed.h>
#include <antiphon/kernels/ops.h>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon::kernels;

namespace {

double error(const at::Tensor& got, const at::Tensor& expected) {
  REQUIRE(got.sizes() == expected.sizes());
  REQUIRE(got.scalar_type() == expected.scalar_type());
  const auto e = expected.to(at::kDouble);
  return ((got.to(at::kDouble) - e).abs().max() / e.abs().max()).item<double>();
}

template <class Check>
void for_dtypes(const Check& check) {
  at::manual_seed(7);
  check(at::kFloat, 3e-6);
  check(at::kBFloat16, 1.5e-2);
}

}  // namespace

TEST_CASE("composed rms_norm, rope and swiglu are those of the row kernels, with their gradients") {
  at::manual_seed(1);
  for_dtypes([](at::ScalarType dtype, double tolerance) {
    const auto x = at::randn({2, 5, 70}).to(dtype), weight = at::randn({70}).to(dtype), grad = at::randn_like(x);
    REQUIRE(path_of(x) == Path::rows);
    const auto ours = rms_norm(x, weight, 1e-5), theirs = composed::rms_norm(x, weight, 1e-5);
    CHECK(error(ours.y, theirs.y) < tolerance);
    CHECK(error(rms_norm_backward(grad, x, weight, ours.rstd),
                composed::rms_norm_backward(grad, x, weight, theirs.rstd)) < tolerance);
    const auto heads = at::randn({4, 3, 22}).to(dtype), cos = at::randn({4, 8}).to(dtype), sin = at::randn_like(cos);
    for (const double sign : {1.0, -1.0})
      CHECK(error(rope(heads, cos, sin, sign), composed::rope(heads, cos, sin, sign)) < tolerance);
    CHECK(error(swiglu(x, grad), composed::swiglu(x, grad)) < tolerance);
    const auto [gate, up] = swiglu_backward(grad, x, grad * 2);
    const auto [composed_gate, composed_up] = composed::swiglu_backward(grad, x, grad * 2);
    CHECK(error(gate, composed_gate) < tolerance);
    CHECK(error(up, composed_up) < tolerance);
  });
}

TEST_CASE("what is not contiguous goes another way, with the same result") {
  at::manual_seed(1);
  const auto gate = at::randn({6, 8}).t(), up = at::randn({8, 6});
  CHECK(error(swiglu(gate, up), swiglu(gate.contiguous(), up)) < 1e-6);
  const auto heads = at::randn({3, 4, 8}).transpose(0, 1), cos = at::randn({4, 8}), sin = at::randn({4, 8});
  CHECK(error(rope(heads, cos, sin, 1), rope(heads.contiguous(), cos, sin, 1)) < 1e-6);
}
