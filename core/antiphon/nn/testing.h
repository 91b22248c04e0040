// Shared by the tests of this folder.
#pragma once
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <antiphon/component/decoder_state.h>

#include <catch2/catch_test_macros.hpp>

namespace antiphon::nn {

inline at::Tensor random(at::IntArrayRef shape, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  return at::randn(shape, generator);
}

// Largest difference relative to the largest value expected.
inline double relative_error(const at::Tensor& got, const at::Tensor& expected) {
  if (got.sizes() != expected.sizes()) return 1e9;
  const auto e = expected.to(at::kDouble);
  return ((got.to(at::kDouble) - e).abs().max() / e.abs().max().clamp_min(1e-30)).item<double>();
}

// A cache for so many rows of `capacity` tokens, which are there, in blocks of four.
inline DecoderState small_cache(const KvShape& shape, int64_t rows, int64_t capacity,
                                at::TensorOptions options = at::kFloat) {
  constexpr int64_t block = 4;
  DecoderState cache(shape, rows * DecoderState::blocks_for(capacity, block), options, block);
  for (int64_t row = 0; row < rows; ++row) cache.add_row();
  return cache;
}

}  // namespace antiphon::nn
