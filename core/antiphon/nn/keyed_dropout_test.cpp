#include <antiphon/nn/keyed_dropout.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/component/training_pass.h>
#include <antiphon/kernels/composed.h>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::nn;

TEST_CASE("keyed dropout: the kernel of the CPU gives what LibTorch's operations give") {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const auto x = at::randn({37, 19}).to(dtype);
    const DropoutPlace place{5, 3, 40};
    const auto factors = kernels::composed::dropout_factors(37, 19, {0.3, 99, 5 * 40 + 3, 40}, x.options());
    CHECK(at::allclose(keyed_dropout(x, 0.3, 99, place), x * factors, dtype == at::kBFloat16 ? 1e-2 : 1e-6, 0));
    CHECK(at::equal(keyed_dropout(x, 0.3, 99, place).ne(0), factors.ne(0)));
  }
}

TEST_CASE("keyed dropout: a part of a tensor is dropped as it is in the whole") {
  const auto x = at::randn({64, 48}, at::kDouble);
  const auto whole = keyed_dropout(x, 0.4, 7);
  const auto part = x.narrow(0, 16, 8).narrow(1, 32, 16);
  CHECK(at::equal(keyed_dropout(part, 0.4, 7, {16, 32, 48}), whole.narrow(0, 16, 8).narrow(1, 32, 16)));
  CHECK_FALSE(at::equal(keyed_dropout(part, 0.4, 7), whole.narrow(0, 16, 8).narrow(1, 32, 16)));
}

TEST_CASE("keyed dropout: the share that is dropped, its mean, other keys, and the gradient") {
  const auto x = at::ones({512, 256}).set_requires_grad(true);
  for (const double p : {0.0, 0.1, 0.5, 0.99}) {
    const auto y = keyed_dropout(x, p, 3);
    CHECK(std::abs(y.eq(0).to(at::kDouble).mean().item<double>() - p) < 0.005);
    CHECK(std::abs(y.mean().item<double>() - 1) < (p < 0.9 ? 0.01 : 0.05));
    x.mutable_grad().reset();
    torch::autograd::backward({y.sum()}, {});
    CHECK(at::equal(x.grad(), y));  // of ones
  }
  CHECK(keyed_dropout(x, 1, 3).abs().sum().item<double>() == 0);
  const auto one = keyed_dropout(x, 0.5, 3).ne(0), other = keyed_dropout(x, 0.5, 4).ne(0);
  CHECK(std::abs(one.logical_and(other).to(at::kDouble).mean().item<double>() - 0.25) < 0.005);
  CHECK(std::abs(one.narrow(0, 0, 511).logical_and(one.narrow(0, 1, 511)).to(at::kDouble).mean().item<double>() -
                 0.25) < 0.005);
  CHECK(keyed_dropout(at::empty({0, 4}), 0.5, 1).sizes() == at::IntArrayRef({0, 4}));
}

TEST_CASE("keyed dropout: a key of each pass and site") {
  const auto key = [](uint64_t pass, const char* site) {
    const TrainingPass training(true, false, pass);
    return dropout_key(site);
  };
  CHECK(key(1, "a.b") == key(1, "a.b"));
  CHECK(key(1, "a.b") != key(2, "a.b"));
  CHECK(key(1, "a.b") != key(1, "b.a"));
}
