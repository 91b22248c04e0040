#include <antiphon/nn/convolution.h>

#include <ATen/ATen.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::nn {

at::Tensor convolve_rows(const at::Tensor& x_ntc, const at::Tensor& weight, const at::Tensor& bias, int64_t stride) {
  const int64_t size = weight.size(2);
  const auto padded = at::constant_pad_nd(x_ntc, {0, 0, size / 2, size / 2});
  // What a place sees lies in one piece, place after place, channel after channel; so the weight's columns, too.
  const auto seen = padded.unfold(1, size, stride).transpose(2, 3).flatten(2);
  return linear(seen, like(weight, x_ntc).transpose(1, 2).flatten(1), like(bias, x_ntc));
}

}  // namespace antiphon::nn
