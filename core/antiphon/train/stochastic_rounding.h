// Rounding to bfloat16 by chance, so that updates which are smaller than a step of the format arrive in the mean (Gupta
// et al. 2015, "Deep Learning with Limited Numerical Precision").
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include <antiphon/component/module.h>

namespace antiphon::train {

// Writes `x` (float32) into `to` (bfloat16, of the same shape and device): each value becomes one of its two
// neighbours, the nearer the likelier, so that its mean is the value. What bfloat16 can hold stays, as do infinities
// and NaN. The random bits are a hash of `key` and the value's place in the whole tensor, of which x is all or, at
// `box`, a part: the same on every device and in every process.
void round_stochastically(const at::Tensor& x, at::Tensor& to, uint64_t key,
                          const std::optional<Box>& box = std::nullopt);

// The same by LibTorch's operations, which devices other than the CPU use.
void round_by_operations(const at::Tensor& x, at::Tensor& to, uint64_t key,
                         const std::optional<Box>& box = std::nullopt);

}  // namespace antiphon::train
