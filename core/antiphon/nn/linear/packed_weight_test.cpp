// Layers with packed weights give the same results as without.
#include <antiphon/kernels/onednn.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/packed_weight.h>
#include <antiphon/nn/testing.h>

using namespace antiphon;
using namespace antiphon::nn;

TEST_CASE("a layer that keeps its weight packed gives what it gives without, also after the weight has changed") {
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const bool with_bias : {true, false}) {
      Linear linear(33, 18, with_bias);
      linear.initialize(3, at::kCPU);
      linear.set_requires_grad(false);
      for (auto* tensor : {&linear.weight, &linear.bias})
        if (tensor->defined()) *tensor = tensor->to(dtype);
      linear.keep_packed();
      const double tolerance = dtype == at::kFloat ? 1e-6 : 1e-2;
      for (const int change : {0, 1, 2}) {
        if (change == 1) linear.weight.mul_(-2);
        if (change == 2) linear.weight = random({18, 33}, 9).to(dtype);
        for (const int64_t n : {40, 9}) {
          const auto x = random({2, n, 33}, 5).to(dtype);
          auto expected = at::matmul(x.to(at::kDouble), linear.weight.to(at::kDouble).t());
          if (with_bias) expected += linear.bias.to(at::kDouble);
          CHECK(PackedWeight::fits(x, linear.weight, linear.bias) ==
                (dtype == at::kBFloat16 && kernels::onednn::has_bfloat16()));
          CHECK(relative_error(linear.forward(x), expected) < tolerance);
        }
      }
    }
}

TEST_CASE("what is trained, and what is of another dtype, is not packed") {
  const auto x = random({20, 33}, 1).to(at::kBFloat16), weight = random({18, 33}, 2).to(at::kBFloat16);
  CHECK_FALSE(PackedWeight::fits(x, weight.to(at::kFloat), {}));
  CHECK_FALSE(PackedWeight::fits(x.to(at::kFloat), weight.to(at::kFloat), {}));
  CHECK_FALSE(PackedWeight::fits(x.to(at::kDouble), weight.to(at::kDouble), {}));
  CHECK_FALSE(PackedWeight::fits(x, weight.clone().set_requires_grad(true), {}));
  CHECK_FALSE(PackedWeight::fits(x.clone().set_requires_grad(true), weight, {}));
  CHECK_FALSE(PackedWeight::fits(x, weight, random({18}, 3).to(at::kBFloat16).set_requires_grad(true)));
  Linear linear(33, 18, true);
  linear.initialize(3, at::kCPU);
  linear.keep_packed();
  linear.set_requires_grad(true);
  CHECK(linear.forward(x).requires_grad());
}
