#include "lowrank_svd.h"

#include <ATen/ATen.h>

namespace antiphon::lora {
namespace {

at::Tensor orthonormal(const at::Tensor& matrix) { return std::get<0>(at::linalg_qr(matrix)); }

}  // namespace

Svd svd_lowrank(const at::Tensor& matrix, int64_t rank, int64_t iterations, const at::Generator& generator) {
  const bool wide = matrix.size(0) < matrix.size(1);
  const auto tall = wide ? matrix.t() : matrix;
  auto basis = orthonormal(tall.mm(at::randn({tall.size(1), rank}, generator).to(tall.device())));
  for (int64_t i = 0; i < iterations; ++i) basis = orthonormal(tall.mm(orthonormal(tall.t().mm(basis))));
  const auto [u, s, vh] = at::linalg_svd(basis.t().mm(tall), /*full_matrices=*/false);
  const auto of_rows = basis.mm(u), of_columns = vh.t();
  return wide ? Svd{of_columns, s, of_rows} : Svd{of_rows, s, of_columns};
}

}  // namespace antiphon::lora
