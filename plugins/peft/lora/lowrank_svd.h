// The largest singular values of a matrix from products with random vectors (Halko, Martinsson and Tropp 2009,
// algorithms 4.4 and 5.1). Source: pytorch, torch/_lowrank.py.
#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

namespace antiphon::lora {

struct Svd {
  at::Tensor u, s, v;  // [rows, rank], [rank], [columns, rank]
};

// Of a matrix [rows, columns] of float32, as torch.svd_lowrank(matrix, rank, iterations): u diag(s) vᵀ is near the best
// approximation of this rank, the nearer the faster singular values fall behind it and the more iterations there are.
Svd svd_lowrank(const at::Tensor& matrix, int64_t rank, int64_t iterations, const at::Generator& generator);

}  // namespace antiphon::lora
