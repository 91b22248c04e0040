// Every row kernel of every instruction set that this processor has, against the formula in double precision.
#include <ATen/ATen.h>
#include <antiphon/kernels/rows.h>
#include <catch2/catch_test_macros.hpp>

#include <limits>

namespace antiphon::kernels {
namespace baseline {
const RowKernels<float>& float_table();
const RowKernels<uint16_t>& bfloat16_table();
}  // namespace baseline
}  // namespace antiphon::kernels

using namespace antiphon::kernels;

namespace {

template <class T>
T* data(const at::Tensor& x) {
  return static_cast<T*>(x.data_ptr());
}

// Runs `check(kernels, type, dtype, tolerance)` for the plain kernels and for the chosen ones, in both dtypes.
template <class Check>
void for_all(const Check& check) {
  check(baseline::float_table(), float{}, at::kFloat, 2e-6);
  check(row_kernels<float>(), float{}, at::kFloat, 2e-6);
  check(baseline::bfloat16_table(), uint16_t{}, at::kBFloat16, 1.5e-2);
  check(row_kernels<uint16_t>(), uint16_t{}, at::kBFloat16, 1.5e-2);
}

at::Tensor random(at::IntArrayRef sizes, int64_t seed, at::ScalarType dtype, double scale = 1) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(seed));
  return (at::randn(sizes, generator) * scale).to(dtype);
}

double error(const at::Tensor& got, const at::Tensor& expected) {
  return ((got.to(at::kDouble) - expected).abs().max() / expected.abs().max()).item<double>();
}

// Widths that fill no register, one, and one with a remainder.
const std::vector<int64_t> kWidths{2, 6, 64, 70, 578};

}  // namespace

TEST_CASE("rms_norm and its gradient") {
  for_all([](const auto& kernel, auto type, at::ScalarType dtype, double tolerance) {
    using T = decltype(type);
    for (const auto width : kWidths) {
      const auto x = random({5, width}, 1, dtype, 3), weight = random({width}, 2, dtype),
                 grad = random({5, width}, 3, dtype);
      const auto y = at::empty_like(x), grad_x = at::empty_like(x), rstd = at::empty({5}, at::kFloat);
      kernel.rms_norm(data<T>(x), data<T>(weight), data<T>(y), data<float>(rstd), 0, 5, width, 1e-5f);
      kernel.rms_norm_backward(data<T>(grad), data<T>(x), data<T>(weight), data<float>(rstd), data<T>(grad_x), 0, 5,
                               width);
      const auto x64 = x.to(at::kDouble).set_requires_grad(true);
      const auto expected = x64 * (x64.square().mean(-1, true) + 1e-5).rsqrt() * weight.to(at::kDouble);
      expected.backward(grad.to(at::kDouble));
      CHECK(error(y, expected.detach()) < tolerance);
      CHECK(error(grad_x, x64.grad()) < tolerance);
      kernel.rms_norm_plus_one(data<T>(x), data<T>(weight), data<T>(y), data<float>(rstd), 0, 5, width, 1e-5f);
      const auto normal = x.to(at::kDouble) * (x.to(at::kDouble).square().mean(-1, true) + 1e-5).rsqrt();
      CHECK(error(y, normal * (weight.to(at::kDouble) + 1)) < tolerance);
    }
  });
}

TEST_CASE("rope turns and turns back") {
  for_all([](const auto& kernel, auto type, at::ScalarType dtype, double tolerance) {
    using T = decltype(type);
    for (const int64_t size : {2, 6, 64, 70}) {
      const auto x = random({4, 3, size}, 1, dtype), angle = random({4, size / 2}, 2, at::kFloat);
      const auto both = at::cat({angle, angle}, 1);
      const auto cos = both.cos().to(dtype), sin = both.sin().to(dtype), y = at::empty_like(x),
                 back = at::empty_like(x);
      kernel.rope(data<T>(x), data<T>(cos), data<T>(sin), data<T>(y), 0, 4, 3, size, size, 1);
      kernel.rope(data<T>(y), data<T>(cos), data<T>(sin), data<T>(back), 0, 4, 3, size, size, -1);
      const auto x64 = x.to(at::kDouble),
                 half = at::cat({-x64.narrow(2, size / 2, size / 2), x64.narrow(2, 0, size / 2)}, 2);
      CHECK(error(y, x64 * cos.to(at::kDouble).unsqueeze(1) + half * sin.to(at::kDouble).unsqueeze(1)) < tolerance);
      CHECK(error(back, x64) < tolerance);
      if (size == 64) {
        const auto part = at::empty_like(x), short_cos = cos.narrow(1, 0, 32).contiguous(),
                   short_sin = at::zeros_like(short_cos);
        kernel.rope(data<T>(x), data<T>(short_cos), data<T>(short_sin), data<T>(part), 0, 4, 3, size, 32, 1);
        CHECK(at::equal(part.narrow(2, 32, 32), x.narrow(2, 32, 32)));
        CHECK(error(part.narrow(2, 0, 32), x64.narrow(2, 0, 32) * short_cos.to(at::kDouble).unsqueeze(1)) < tolerance);
      }
    }
  });
}

TEST_CASE("a gate by tanh's form of GELU, also far from zero") {
  for_all([](const auto& kernel, auto type, at::ScalarType dtype, double tolerance) {
    using T = decltype(type);
    for (const auto n : kWidths)
      for (const double scale : {0.01, 2.0, 40.0}) {
        const auto gate = random({n}, 1, dtype, scale), up = random({n}, 2, dtype), y = at::empty_like(gate);
        kernel.geglu_tanh(data<T>(gate), data<T>(up), data<T>(y), 0, n);
        CHECK(error(y, at::gelu(gate.to(at::kDouble), "tanh") * up.to(at::kDouble)) < tolerance);
      }
  });
}

TEST_CASE("swiglu and its gradient, also far from zero") {
  for_all([](const auto& kernel, auto type, at::ScalarType dtype, double tolerance) {
    using T = decltype(type);
    for (const auto n : kWidths) {
      const auto gate = random({n}, 1, dtype, 40), up = random({n}, 2, dtype), grad = random({n}, 3, dtype);
      const auto y = at::empty_like(gate), grad_gate = at::empty_like(gate), grad_up = at::empty_like(gate);
      kernel.swiglu(data<T>(gate), data<T>(up), data<T>(y), 0, n);
      kernel.swiglu_backward(data<T>(grad), data<T>(gate), data<T>(up), data<T>(grad_gate), data<T>(grad_up), 0, n);
      const auto g = gate.to(at::kDouble).set_requires_grad(true), u = up.to(at::kDouble).set_requires_grad(true);
      const auto expected = g * g.sigmoid() * u;
      expected.backward(grad.to(at::kDouble));
      CHECK(error(y, expected.detach()) < tolerance);
      CHECK(error(grad_gate, g.grad()) < tolerance);
      CHECK(error(grad_up, u.grad()) < tolerance);
    }
  });
}

TEST_CASE("quick_gelu, also far from zero") {
  for_all([](const auto& kernel, auto type, at::ScalarType dtype, double tolerance) {
    using T = decltype(type);
    for (const auto n : kWidths) {
      const auto x = random({n}, 1, dtype, 40), y = at::empty_like(x), wide = x.to(at::kDouble);
      kernel.quick_gelu(data<T>(x), data<T>(y), 0, n);
      CHECK(error(y, wide * (1.702 * wide).sigmoid()) < tolerance);
    }
  });
}

TEST_CASE("causal softmax and its gradient") {
  for_all([](const auto& kernel, auto type, at::ScalarType dtype, double tolerance) {
    using T = decltype(type);
    for (const int64_t keys : {1, 3, 32, 50}) {
      const auto scores = random({2 * keys, keys}, 1, dtype, 20), grad = random({2 * keys, keys}, 2, dtype);
      const auto p = scores.clone(), grad_scores = grad.clone();
      kernel.causal_softmax(data<T>(p), 0, 2 * keys, keys, keys, 0, 0.125f);
      kernel.causal_softmax_backward(data<T>(p), data<T>(grad_scores), 0, 2 * keys, keys, keys, 0, 0.125f);
      const auto s = scores.to(at::kDouble).set_requires_grad(true);
      const auto hidden = at::ones({keys, keys}, at::kBool).triu(1).repeat({2, 1});
      const auto expected = (s * 0.125).masked_fill(hidden, -INFINITY).softmax(-1);
      expected.backward(grad.to(at::kDouble));
      CHECK(error(p, expected.detach()) < tolerance);
      if (keys > 1) CHECK(error(grad_scores, s.grad()) < 2 * tolerance);
    }
  });
}

TEST_CASE("causal softmax of long rows, after keys of the past") {
  for_all([](const auto& kernel, auto type, at::ScalarType dtype, double tolerance) {
    constexpr int64_t kQueries = 20, kKeys = 1040, kFirst = 1010;  // rows of 1011 to 1030
    const auto scores = random({kQueries, kKeys}, 1, dtype, 20), p = scores.clone();
    kernel.causal_softmax(data<decltype(type)>(p), 0, kQueries, kKeys, kQueries, kFirst, 0.125f);
    const auto hidden = at::ones({kQueries, kKeys}, at::kBool).triu(kFirst + 1);
    CHECK(error(p, (scores.to(at::kDouble) * 0.125).masked_fill(hidden, -INFINITY).softmax(-1)) < tolerance);
  });
}

// They cost a hundred cycles each, in whatever is computed of them next, too.
TEST_CASE("no number below the smallest normal one is written, and the thread's arithmetic stays as it was") {
  const float tiny = std::numeric_limits<float>::min();
  const auto normal = [&](const at::Tensor& y) {
    const auto size = y.to(at::kFloat).abs();
    return ((size == 0) | (size >= tiny)).all().item<bool>();
  };
  for_all([&](const auto& kernel, auto type, at::ScalarType dtype, double) {
    using T = decltype(type);
    const auto x = at::linspace(-120, 0, 1000, at::kFloat).to(dtype), small = at::full({1000}, 0.01, dtype),
               y = at::empty_like(x), z = at::empty_like(x);
    kernel.quick_gelu(data<T>(x), data<T>(y), 0, 1000);
    CHECK(normal(y));
    kernel.swiglu(data<T>(x), data<T>(small), data<T>(y), 0, 1000);
    CHECK(normal(y));
    kernel.geglu_tanh(data<T>(x), data<T>(small), data<T>(y), 0, 1000);
    CHECK(normal(y));
    kernel.swiglu_backward(data<T>(small), data<T>(x), data<T>(small), data<T>(y), data<T>(z), 0, 1000);
    CHECK((normal(y) && normal(z)));
    const auto p = x.clone();
    kernel.causal_softmax(data<T>(p), 0, 1, 1000, 1, 999, 1);
    CHECK(normal(p));
    kernel.causal_softmax_backward(data<T>(p), data<T>(small), 0, 1, 1000, 1, 999, 1e-30f);
    CHECK(normal(small));
    volatile float half = tiny;
    half = half * 0.5f;
    CHECK(half != 0);
  });
}

TEST_CASE("what is not a number stays so") {
  for_all([](const auto& kernel, auto type, at::ScalarType dtype, double) {
    using T = decltype(type);
    const auto x = at::full({64}, NAN, dtype), one = at::ones({64}, dtype), y = at::zeros({64}, dtype),
               rstd = at::zeros({1}, at::kFloat);
    kernel.swiglu(data<T>(x), data<T>(one), data<T>(y), 0, 64);
    CHECK(y.isnan().all().template item<bool>());
    kernel.rms_norm(data<T>(x), data<T>(one), data<T>(y), data<float>(rstd), 0, 1, 64, 1e-5f);
    CHECK(y.isnan().all().template item<bool>());
    const auto scores = at::full({8, 8}, NAN, dtype);
    kernel.causal_softmax(data<T>(scores), 7, 8, 8, 8, 0, 1);
    CHECK(scores[7].isnan().all().template item<bool>());
  });
}
