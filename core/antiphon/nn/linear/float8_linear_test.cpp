// FP8 linear layers against double precision products of the values that the FP8 numbers represent.
#include <antiphon/comm/test_group.h>
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

// Small whole numbers, the largest of them `most`. If that is the largest of FP8 but for a power of two, scaled
// numbers, products and sums are exact, in whatever order a library adds them up.
at::Tensor whole_numbers(const at::Tensor& x, double most) { return (x / x.abs().max() * most).round(); }

struct ExactLayer : Layer {
  ExactLayer() : Layer(true) {
    const at::NoGradGuard guard;
    linear.weight.copy_(whole_numbers(linear.weight, 7));
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

TEST_CASE("fp8: bfloat16 stays bfloat16, an adapter is put around, what is not a number stays none") {
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

TEST_CASE("fp8: processes that divide tokens or weights have one scale, and the numbers of one process") {
  CHECK(comm::testing::run_group(2, "member has some in fp8") == 0);
}

TEST_CASE("member has some in fp8", "[.]") {
  comm::Group all(comm::testing::my_place());
  ExactLayer whole;
  REQUIRE(whole.linear.use_float8());
  const auto x = whole_numbers(whole.x.detach().view({21, 48}), 4), grad = whole_numbers(whole.grad, 7).view({21, 32});
  x.select(0, 20).copy_(whole_numbers(x.select(0, 20), 7) * 8);  // a process without it would have another scale
  const auto y = whole.linear.forward(whole.x = x.clone().requires_grad_(true));
  y.backward(grad);
  for (const int64_t first : {8, 0, 21}) {  // tokens, none of them in one process
    ExactLayer own;
    own.linear.together = &all;
    REQUIRE(own.linear.use_float8());
    const int64_t begin = all.rank() == 0 ? 0 : first, size = all.rank() == 0 ? first : 21 - first;
    const auto some = x.narrow(0, begin, size).clone().requires_grad_(true);
    const auto got = own.linear.forward(some);
    got.backward(grad.narrow(0, begin, size));
    CHECK(at::equal(got, y.narrow(0, begin, size)));
    CHECK(at::equal(some.grad(), whole.x.grad().narrow(0, begin, size)));
    const auto sum = own.linear.weight.grad().clone();
    all.sum(sum);
    CHECK(relative_error(sum, whole.linear.weight.grad()) < 1e-6);
  }
  ExactLayer own;  // outputs
  own.linear.together = &all;
  const auto weight = own.linear.weight.detach().clone(), bias = own.linear.bias.detach().clone();
  own.linear.weight = weight.narrow(0, 16 * all.rank(), 16).clone().set_requires_grad(true);
  own.linear.bias = bias.narrow(0, 16 * all.rank(), 16).clone();
  REQUIRE(own.linear.use_float8());
  const auto in = x.clone().requires_grad_(true);
  const auto got = own.linear.forward(in);
  got.backward(grad.narrow(1, 16 * all.rank(), 16));
  CHECK(at::equal(got, y.narrow(1, 16 * all.rank(), 16)));
  CHECK(at::equal(own.linear.weight.grad(), whole.linear.weight.grad().narrow(0, 16 * all.rank(), 16)));
  ExactLayer half;  // inputs, of 32 and 16
  half.linear.together = &all;
  const int64_t begin = 32 * all.rank(), size = all.rank() ? 16 : 32;
  half.linear.weight = weight.narrow(1, begin, size).clone().set_requires_grad(true);
  half.linear.bias = at::Tensor();
  REQUIRE(half.linear.use_float8());
  const auto columns = x.narrow(1, begin, size).clone().requires_grad_(true);
  const auto product = half.linear.forward(columns);
  product.backward(grad);
  const auto sum = product.detach().clone();
  all.sum(sum);
  CHECK(relative_error(sum + bias, y.detach()) < 1e-6);
  CHECK(at::equal(columns.grad(), whole.x.grad().narrow(1, begin, size)));
  all.wait_for_all();
}

TEST_CASE("fp8: a weight that is converted in each pass gives the same") {
  Layer kept(true), passing(true);
  REQUIRE(kept.linear.use_float8());
  REQUIRE(passing.linear.use_float8(/*keeps_weight=*/false));
  const auto a = kept.linear.forward(kept.x), b = passing.linear.forward(passing.x);
  a.backward(kept.grad), b.backward(passing.grad);
  CHECK(at::equal(a, b));
  CHECK(at::equal(kept.x.grad(), passing.x.grad()));
  CHECK(at::equal(kept.linear.weight.grad(), passing.linear.weight.grad()));
}
