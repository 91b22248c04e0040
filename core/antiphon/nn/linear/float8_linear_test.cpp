// FP8 linear layers against double precision products of the values that the FP8 numbers represent.
#include <antiphon/kernels/test_cuda.h>
#include <antiphon/nn/linear/float8_linear.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/testing.h>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

at::Tensor meant(const at::Tensor& x, at::ScalarType format) {
  const double largest = format == at::kFloat8_e5m2 ? 57344 : 448;
  const auto scale = (x.to(at::kFloat).abs().max() / largest).to(at::kFloat);
  return (x.to(at::kFloat) * scale.reciprocal()).to(format).to(at::kDouble) * scale.to(at::kDouble);
}

double root_error(const at::Tensor& got, const at::Tensor& expected) {
  return ((got - expected).square().mean() / expected.square().mean()).sqrt().item<double>();
}

struct Layer {
  Linear linear{48, 32, true};
  at::Tensor x = random({3, 7, 48}, 5), grad = random({3, 7, 32}, 6);
  explicit Layer(bool trained, at::Device device = at::kCPU) {
    linear.initialize(3, device);
    linear.set_requires_grad(trained);
    x = x.to(device).requires_grad_(true), grad = grad.to(device);
  }
};

struct Doubled : LinearAdapter {
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override {
    CHECK_FALSE(base.plain(x));
    return base.product(x) * 2;
  }
};

void check_products(at::Device device, double tolerance) {
  for (const bool trained : {true, false}) {
    Layer layer(trained, device);
    REQUIRE(layer.linear.use_float8());
    const auto y = layer.linear.forward(layer.x);
    y.backward(layer.grad);
    const auto x = meant(layer.x.detach().cpu(), at::kFloat8_e4m3fn).view({21, 48}),
               w = meant(layer.linear.weight.detach().cpu(), at::kFloat8_e4m3fn),
               g = meant(layer.grad.cpu(), at::kFloat8_e5m2).view({21, 32});
    CHECK(relative_error(y.detach().cpu().view({21, 32}), x.mm(w.t()) + layer.linear.bias.detach().cpu()) < tolerance);
    CHECK(relative_error(layer.x.grad().cpu().view({21, 48}), g.mm(w)) < tolerance);
    CHECK(layer.linear.weight.grad().defined() == trained);
    if (!trained) continue;
    CHECK(relative_error(layer.linear.weight.grad().cpu(), g.t().mm(x)) < tolerance);
    CHECK(relative_error(layer.linear.bias.grad().cpu(), layer.grad.cpu().view({21, 32}).sum(0)) < 1e-5);
  }
}

}  // namespace

TEST_CASE("fp8: values and gradients are products of what the 8 bits stand for") { check_products(at::kCPU, 1e-5); }

TEST_CASE("fp8 on CUDA: values and gradients are those on the CPU") {
  if (const auto why = kernels::testing::no_cuda(); !why.empty()) SKIP(why);
  if (const auto why = kernels::float8_missing(at::Device("cuda:0")); !why.empty()) SKIP(why);
  check_products(at::Device("cuda:0"), 1e-3);  // a GPU may add in fewer bits
}

TEST_CASE("fp8: how far from the plain layer") {
  Layer plain(true), narrow(true);
  REQUIRE(narrow.linear.use_float8());
  const auto a = plain.linear.forward(plain.x), b = narrow.linear.forward(narrow.x);
  a.backward(plain.grad), b.backward(narrow.grad);
  CHECK(root_error(b, a) > 1e-3);  // FP8 was used
  CHECK(root_error(b, a) < 0.04);
  CHECK(root_error(narrow.x.grad(), plain.x.grad()) < 0.08);
  CHECK(root_error(narrow.linear.weight.grad(), plain.linear.weight.grad()) < 0.08);
}

TEST_CASE("fp8: a weight that has changed is taken anew") {
  Layer layer(true);
  REQUIRE(layer.linear.use_float8());
  const auto before = layer.linear.forward(layer.x).detach();
  CHECK(at::equal(layer.linear.forward(layer.x), before));
  {
    const at::NoGradGuard guard;
    layer.linear.weight.mul_(-1), layer.linear.bias.mul_(-1);
  }
  CHECK(relative_error(layer.linear.forward(layer.x).neg(), before) < 1e-6);
}

TEST_CASE("fp8: bfloat16 stays bfloat16, an adapter is put around, what is no number stays none") {
  Layer layer(true);
  REQUIRE(layer.linear.use_float8());
  const auto x = layer.x.detach().to(at::kBFloat16).requires_grad_(true);
  const auto y = layer.linear.forward(x);
  CHECK(y.scalar_type() == at::kBFloat16);
  y.sum().backward();
  CHECK(x.grad().scalar_type() == at::kBFloat16);
  CHECK(layer.linear.weight.grad().scalar_type() == at::kFloat);
  layer.linear.adapters.push_back(std::make_shared<Doubled>());
  CHECK(at::equal(layer.linear.forward(x), y * 2));
  const auto bad = x.detach().clone();
  bad[1][2][3] = NAN;
  CHECK(layer.linear.forward(bad).isnan().any().item<bool>());
}

TEST_CASE("fp8: weights whose sides do not fit are left alone") {
  Linear linear(48, 24, false);
  CHECK_FALSE(linear.use_float8());
  linear.initialize(3, at::kCPU);
  CHECK(relative_error(linear.forward(random({2, 48}, 1)), random({2, 48}, 1).mm(linear.weight.t())) < 1e-6);
}
