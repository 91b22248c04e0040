// Convolutions over time as products.
#pragma once
#include <ATen/core/Tensor.h>

namespace antiphon::nn {

// at::conv1d with padding = size / 2, on rows: x [n, time, in], weight [out, in, size] and bias [out] as checkpoints
// have them, -> [n, (time + 2 · (size / 2) - size) / stride + 1, out]. One product with what each place sees: on a CPU
// the first convolution of a speech encoder takes a sixth of the time so (80 bands: too few for oneDNN's).
at::Tensor convolve_rows(const at::Tensor& x_ntc, const at::Tensor& weight, const at::Tensor& bias, int64_t stride);

}  // namespace antiphon::nn
