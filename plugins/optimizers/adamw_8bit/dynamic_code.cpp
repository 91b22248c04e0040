#include "dynamic_code.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace antiphon::adamw_8bit {

constexpr int kDecades = 7;

at::Tensor dynamic_map(bool with_sign) {
  std::vector<double> values{0, 1};
  double decade = 1e-6;
  for (int i = 0; i < kDecades; ++i, decade *= 10) {
    const int parts = 1 << (with_sign ? i : i + 1);
    for (int k = 0; k < parts; ++k) {
      const double middle = decade * (0.1 + 0.9 * (k + 0.5) / parts);
      values.push_back(middle);
      if (with_sign) values.push_back(-middle);
    }
  }
  std::ranges::sort(values);
  return at::tensor(values, at::kDouble).to(at::kFloat);
}

DynamicCode::DynamicCode(bool with_sign, int64_t block_size) : block_size_(block_size), map_(dynamic_map(with_sign)) {
  middles_ = (map_.slice(0, 1) + map_.slice(0, 0, -1)) / 2;
}

// [blocks, block_size], with zeros after the end.
at::Tensor DynamicCode::of_blocks(const at::Tensor& x) const {
  return at::constant_pad_nd(x.reshape({-1}), {0, blocks(x.numel()) * block_size_ - x.numel()}).view({-1, block_size_});
}

void DynamicCode::encode(const at::Tensor& x, const at::Tensor& codes, const at::Tensor& scales) const {
  const auto values = of_blocks(x);
  scales.copy_(values.abs().amax(1));
  const auto relative = values / scales.clamp_min(std::numeric_limits<float>::min()).unsqueeze(1);
  const auto nearest = at::bucketize(relative, middles_.to(x.device()), /*out_int32=*/true);
  codes.copy_(nearest.view({-1}).slice(0, 0, x.numel()).view(x.sizes()));
}

at::Tensor DynamicCode::decode(const at::Tensor& codes, const at::Tensor& scales) const {
  const auto indices = of_blocks(codes).view({-1}).to(at::kInt);
  const auto values = map_.to(codes.device()).index_select(0, indices).view({-1, block_size_}) * scales.unsqueeze(1);
  return values.view({-1}).slice(0, 0, codes.numel()).view(codes.sizes());
}

}  // namespace antiphon::adamw_8bit
