#include <ATen/core/grad_mode.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/quantized_weight.h>
#include <antiphon/nn/testing.h>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

// Largest error of a weight, in steps between the values of its group.
double steps_off(const at::Tensor& weight, const std::string& format, double limit) {
  const auto q = QuantizedWeight::of(weight, format);
  const auto groups = weight.view({weight.size(0), -1, 32});
  const auto step = groups.abs().amax(-1, true) / limit;
  return ((q.dequantized(at::kFloat).view(groups.sizes()) - groups) / step).abs().max().item<double>();
}

}  // namespace

TEST_CASE("quantised weights are as near as their steps allow") {
  const auto weight = random({4128, 96}, 1);
  CHECK(steps_off(weight, "int8", 127) < 0.8);  // half a step, and the scale's own rounding at 127 steps
  CHECK(steps_off(weight, "int4", 7) < 2.5);    // the scale with the least squared error may cut the largest value off
  const auto error = [&](const std::string& format) {
    const auto difference = QuantizedWeight::of(weight, format).dequantized(at::kFloat) - weight;
    return (difference.square().mean() / weight.square().mean()).sqrt().item<double>();
  };
  CHECK(error("int8") < 0.007);
  CHECK(error("int4") < 0.095);  // 0.1 with scales that span the largest value
  const auto zero = QuantizedWeight::of(at::zeros({16, 32}), "int4");
  CHECK(zero.dequantized(at::kFloat).abs().max().item<float>() == 0);
}

TEST_CASE("rows of a quantised matrix are those of the dequantised one") {
  for (const std::string format : {"int8", "int4"})
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto q = QuantizedWeight::of(random({64, 64}, 2), format);
      const auto ids = at::tensor({5, 63, 0, 17, 5}, at::kLong);
      CHECK(at::equal(q.rows(ids, dtype), q.dequantized(dtype).index_select(0, ids)));
    }
}

TEST_CASE("a quantised linear layer: few rows and many, with a bias") {
  for (const std::string format : {"int8", "int4"}) {
    Linear linear(64, 48, true);
    linear.initialize(3, at::kCPU);
    linear.set_requires_grad(false);
    linear.quantize(format);
    const auto weight = linear.quantized->dequantized(at::kFloat).to(at::kDouble), bias = linear.bias.to(at::kDouble);
    const at::NoGradGuard guard;
    for (const int64_t rows : {1, 3, 8, 9, 40}) {
      const auto x = random({rows, 64}, 4);
      CHECK(relative_error(linear.forward(x), x.to(at::kDouble).mm(weight.t()) + bias) < 1e-5);
    }
  }
}

TEST_CASE("what cannot be quantised says so") {
  CHECK_FALSE(QuantizedWeight::fits(at::zeros({15, 32})));
  CHECK_FALSE(QuantizedWeight::fits(at::zeros({16, 33})));
  CHECK_THROWS_AS(QuantizedWeight::of(at::zeros({16, 33}), "int8"), Error);
}

namespace {

// y = x + scale · product(x): exposes the output of the base layer and its gradient.
struct Mixed : LinearAdapter {
  at::Tensor scale = at::full({1}, 0.5f).set_requires_grad(true);
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override {
    CHECK_FALSE(base.plain(x));
    return base.product(x) * scale;
  }
};

}  // namespace

TEST_CASE("adapters are trained over a quantised weight: values and gradients are those over the dequantised matrix") {
  for (const char* format : {"int8", "int4"}) {
    Linear linear(64, 32, true);
    linear.initialize(5, at::kCPU);
    linear.set_requires_grad(false);
    linear.quantize(format);
    const auto adapter = std::make_shared<Mixed>();
    linear.adapters.push_back(adapter);
    const auto x = random({3, 7, 64}, 6).set_requires_grad(true), again = x.detach().clone().set_requires_grad(true);
    const auto scale = at::full({1}, 0.5f).set_requires_grad(true), grad = random({3, 7, 32}, 7);
    const auto y = linear.forward(x);
    const auto plain = at::linear(again, linear.quantized->dequantized(at::kFloat), linear.bias) * scale;
    CHECK(relative_error(y, plain) < 1e-6);
    y.backward(grad), plain.backward(grad);
    CHECK(relative_error(x.grad(), again.grad()) < 1e-6);
    CHECK(relative_error(adapter->scale.grad(), scale.grad()) < 1e-5);
    const AdapterScope without(0);
    CHECK(relative_error(linear.forward(x.detach()), plain.detach() * 2) < 1e-6);
  }
}
