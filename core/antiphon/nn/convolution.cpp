#include <antiphon/nn/convolution.h>

#include <ATen/ATen.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::nn {

at::Tensor convolve_rows(const at::Tensor& x_ntc, const at::Tensor& weight, const at::Tensor& bias, int64_t stride) {
  const int64_t size = weight.size(2), last = x_ntc.size(1) + 2 * (size / 2) - size;
  const auto padded = at::constant_pad_nd(x_ntc, {0, 0, size / 2, size / 2});
  // What a place sees, time after time, channel after channel; so the weight's columns, too. Not by unfold(), whose
  // gradient LibTorch does not have for tensors without values.
  std::vector<at::Tensor> times;
  for (int64_t k = 0; k < size; ++k) times.push_back(padded.slice(1, k, k + last + 1, stride));
  return linear(at::cat(times, -1), like(weight, x_ntc).transpose(1, 2).flatten(1), like(bias, x_ntc));
}

}  // namespace antiphon::nn
