// The random numbers of training (dropout): a function of the run's seed, the step and the row of the batch, so that
// they depend neither on how often a run was resumed nor on how many processes share its rows.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::train {

uint64_t seed_of(uint64_t seed, int64_t step, int64_t row);

// Seeds LibTorch's default generators, of the CPU and of `device`.
void seed_generators(at::Device device, uint64_t seed);

}  // namespace antiphon::train
