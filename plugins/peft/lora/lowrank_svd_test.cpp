#include "lowrank_svd.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

using namespace antiphon::lora;

namespace {

// Of singular values 1, 1/2, 1/4, …
at::Tensor halving(int64_t rows, int64_t columns) {
  auto generator = at::detail::createCPUGenerator(5);
  const auto side = [&](int64_t n) {
    return std::get<0>(at::linalg_qr(at::randn({n, std::min(rows, columns)}, generator, at::kDouble)));
  };
  const auto u = side(rows), v = side(columns);
  return (u * at::pow(0.5, at::arange(u.size(1), at::kDouble))).mm(v.t());
}

double length(const at::Tensor& x) { return at::linalg_matrix_norm(x, "fro").item<double>(); }

}  // namespace

TEST_CASE("svd_lowrank: it nears the truncated SVD as the ratio of singular values says") {
  constexpr int64_t rank = 4;
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{40, 24}, {24, 40}}) {
    const auto matrix = halving(rows, columns);
    const auto [u, s, vh] = at::linalg_svd(matrix, false);
    const auto best = (u.narrow(1, 0, rank) * s.narrow(0, 0, rank)).mm(vh.narrow(0, 0, rank));
    double before = 1;
    for (const int64_t iterations : {1, 4, 8}) {
      const auto got = svd_lowrank(matrix.to(at::kFloat), rank, iterations, at::detail::createCPUGenerator(9));
      CHECK(got.u.sizes() == at::IntArrayRef{rows, rank});
      CHECK(got.v.sizes() == at::IntArrayRef{columns, rank});
      const auto product = (got.u * got.s).mm(got.v.t()).to(at::kDouble);
      // What lies outside the right space falls by the square of σ₅ / σ₄ = 1/2 with each iteration; float32 ends it.
      const double off = length(product - best), bound = 40 * std::pow(0.25, static_cast<double>(iterations)) + 1e-5;
      CHECK(off < bound);
      CHECK(off < before);
      before = off;
    }
    CHECK(before < 1e-4);
  }
}
