// Products by our kernels or by oneDNN match those in double precision.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <antiphon/kernels/isa.h>
#include <antiphon/kernels/mm.h>
#include <antiphon/kernels/onednn.h>

#include <utility>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon::kernels;

namespace {

struct AllFast {
  int64_t before = set_smallest_fast_mm(1);
  ~AllFast() { set_smallest_fast_mm(before); }
};

double error(const at::Tensor& y, const at::Tensor& expected) {
  if (y.sizes() != expected.sizes()) return 1;
  if (expected.numel() == 0) return 0;
  return ((y.to(at::kDouble) - expected).abs().max() / expected.abs().max()).item<double>();
}

// Relative to the sums of the terms' magnitudes: the error of a single product with cancellation depends on luck.
double error_of_sums(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b) {
  const auto x = a.to(at::kDouble), z = b.to(at::kDouble);
  if (y.sizes() != at::IntArrayRef({a.size(0), b.size(1)})) return 1;
  if (y.numel() == 0) return 0;
  return ((y.to(at::kDouble) - at::mm(x, z)).abs() / at::mm(x.abs(), z.abs())).max().item<double>();
}

}  // namespace

TEST_CASE("a product of matrices, dense or transposed or a part of one, is what it is in double precision") {
  at::manual_seed(1);
  const AllFast all_fast;
  for (const int64_t n : {0, 1, 7, 100})
    for (const int64_t k : {1, 16, 65, 300})
      for (const int64_t m : {1, 3, 130, 400}) {
        const auto a = at::randn({n, k}), b = at::randn({k, m});
        CAPTURE(n, k, m);
        const auto wide = at::cat({b, b}, 1), tall = at::cat({a, a}, 0);
        CHECK(error_of_sums(antiphon::kernels::mm(a, b), a, b) < 1e-6);
        CHECK(error_of_sums(antiphon::kernels::mm(a, b.t().contiguous().t()), a, b) < 1e-6);
        CHECK(error_of_sums(antiphon::kernels::mm(a.t().contiguous().t(), b), a, b) < 1e-6);
        CHECK(error_of_sums(antiphon::kernels::mm(a.t().contiguous().t(), b.t().contiguous().t()), a, b) < 1e-6);
        CHECK(error_of_sums(antiphon::kernels::mm(at::stack({a, a}, 2).select(2, 0), at::stack({b, b}, 2).select(2, 1)),
                            a, b) < 1e-6);
        CHECK(error_of_sums(antiphon::kernels::mm(tall.narrow(0, n, n), wide.narrow(1, m, m)), a, b) < 1e-6);
      }
}

TEST_CASE("a product over nothing is zero, or what it is added to") {
  const auto x = at::ones({3, 0}), c = at::ones({3, 2});
  CHECK(at::equal(antiphon::kernels::mm(x, at::ones({0, 2})), at::zeros({3, 2})));
  CHECK(at::equal(linear(x, at::ones({2, 0}, at::kBFloat16), at::full({2}, 5.0)), at::full({3, 2}, 5.0)));
  add_mm(c, x, at::ones({0, 2}));
  CHECK(at::equal(c, at::ones({3, 2})));
}

TEST_CASE("add_mm adds to what is there, in a part of a matrix too") {
  at::manual_seed(1);
  const AllFast all_fast;
  for (const int64_t k : {1, 40, 700}) {
    const auto whole = at::randn({50, 90}), a = at::randn({30, k}), b = at::randn({k, 70});
    const auto expected = whole.to(at::kDouble);
    expected.narrow(0, 10, 30).narrow(1, 5, 70).addmm_(a.to(at::kDouble), b.to(at::kDouble));
    add_mm(whole.narrow(0, 10, 30).narrow(1, 5, 70), a, b);
    CHECK(error(whole, expected) < 1e-6);
  }
}

TEST_CASE("whole tiles, small ones and what is left of them touch their part of a matrix alone") {
  at::manual_seed(1);
  const AllFast all_fast;
  const auto left = at::randn({26, 130}), right = at::randn({130, 50});
  for (const int64_t k : {5, 130})
    for (int64_t m = 1; m <= 26; ++m)
      for (int64_t n = 1; n <= 50; ++n) {
        const auto whole = at::ones({28, 52}), a = left.narrow(0, 0, m).narrow(1, 0, k),
                   b = right.narrow(0, 0, k).narrow(1, 0, n);
        const auto expected = whole.to(at::kDouble);
        expected.narrow(0, 1, m).narrow(1, 1, n).addmm_(a.to(at::kDouble), b.to(at::kDouble));
        add_mm(whole.narrow(0, 1, m).narrow(1, 1, n), m % 2 ? a : a.t().contiguous().t(), b);
        CAPTURE(k, m, n);
        REQUIRE(error(whole, expected) < 1e-6);
      }
}

TEST_CASE("every number of threads makes the same product") {
  at::manual_seed(1);
  const auto a = at::randn({1000, 300}), b = at::randn({300, 500});
  const int before = at::get_num_threads();
  const auto once = (at::set_num_threads(1), antiphon::kernels::mm(a, b));
  for (const int threads : {2, 3, 7, 8}) {
    at::set_num_threads(threads);
    CHECK(at::equal(antiphon::kernels::mm(a, b), once));
  }
  at::set_num_threads(before);
}

TEST_CASE("products that a gradient is wanted of have one, of any order") {
  at::manual_seed(1);
  const AllFast all_fast;
  const auto a = at::randn({4, 5}).requires_grad_(), b = at::randn({5, 6}).requires_grad_();
  const auto y = antiphon::kernels::mm(a, b);
  CHECK(y.requires_grad());
  y.sum().backward();
  CHECK(at::allclose(a.grad(), b.detach().sum(1).expand({4, 5})));
}

TEST_CASE("a bfloat16 matrix beside float32 is widened: the product is that of its values") {
  at::manual_seed(1);
  const AllFast all_fast;
  for (const auto& [out, in] :
       {std::pair<int64_t, int64_t>{3, 5}, {48, 64}, {2500, 1000}}) {  // the last in three tiles
    const auto w = at::randn({out, in}).to(at::kBFloat16), wide = w.to(at::kFloat), bias = at::randn({out});
    for (const int64_t n : {1, 7, 40}) {
      const auto x = at::randn({n, in}), g = at::randn({n, out});
      CAPTURE(out, in, n);
      REQUIRE(is_widened(x, w));
      CHECK(error_of_sums(antiphon::kernels::mm(x, w.t()), x, wide.t()) < 1e-6);
      CHECK(error_of_sums(antiphon::kernels::mm(g, w), g, wide) < 1e-6);
      CHECK(error(linear(x.view({1, n, in}), w, bias),
                  at::linear(x.to(at::kDouble), wide.to(at::kDouble), bias.to(at::kDouble)).unsqueeze(0)) < 2e-6);
      CHECK(error_of_sums(antiphon::kernels::mm(x, at::cat({w, w}, 0).t().narrow(1, out / 2, out)), x,
                          at::cat({wide, wide}, 0).t().narrow(1, out / 2, out)) < 1e-6);
    }
  }
  const auto w = at::randn({4, 4}).to(at::kBFloat16);
  CHECK_FALSE(is_widened(w, w));
  CHECK_FALSE(is_widened(at::randn({4, 4}), w.clone().requires_grad_()));
}

TEST_CASE("which products are ours") {
  at::manual_seed(1);
  const AllFast all_fast;
  const auto x = at::randn({8, 16}), w = at::randn({32, 16});
  const bool vectors = isa() >= Isa::avx2;
  CHECK(is_fast_linear(x, w) == vectors);
  CHECK(is_fast_linear(x, at::randn({32, 32}).narrow(1, 0, 16)) == vectors);
  CHECK_FALSE(is_fast_linear(x, w.to(at::kBFloat16)));
  CHECK_FALSE(is_fast_linear(x.to(at::kDouble), w.to(at::kDouble)));
  CHECK_FALSE(is_fast_linear(x, at::randn({32, 17})));
  CHECK_FALSE(is_fast_linear(at::empty({0, 16}), w));
  set_smallest_fast_mm(8 * 16 * 32 + 1);
  CHECK_FALSE(is_fast_linear(x, w));
}

TEST_CASE("a packed matrix multiplies any number of rows") {
  at::manual_seed(1);
  if (!onednn::has_bfloat16()) SKIP("LibTorch has no oneDNN, or the CPU no products of bfloat16");
  const auto w = at::randn({130, 65}).to(at::kBFloat16), bias = at::randn({130}).to(at::kBFloat16);
  const auto packed = onednn::packed(w, 40);
  for (const int64_t n : {1, 40, 200}) {
    const auto x = at::randn({2, n, 65}).to(at::kBFloat16);
    const auto expected = at::linear(x.to(at::kDouble), w.to(at::kDouble), bias.to(at::kDouble));
    CHECK(error(onednn::linear(x, packed, bias), expected) < 1e-2);
  }
}
