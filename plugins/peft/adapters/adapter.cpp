#include "adapter.h"

#include <ATen/ATen.h>

#include <antiphon/nn/activation.h>

namespace antiphon::adapters {

BottleneckAdapter::BottleneckAdapter(int64_t out, int64_t bottleneck, std::string activation, NormPosition position)
    : activation_(std::move(activation)), position_(position), down_(out, bottleneck, false) {
  add("adapter_down", down_);
  add("adapter_up.weight", up_, {out, bottleneck}, Init::zeros, Role::matrix);
  if (position == NormPosition::none) return;
  norm_ = std::make_unique<nn::Norm>(nn::NormKind::layer, out, 1e-5);
  add("adapter_norm", *norm_);
}

at::Tensor BottleneckAdapter::forward(const at::Tensor& x, const LinearBase& base) {
  const auto y = base.product(x);
  const auto h = down_.forward(position_ == NormPosition::pre ? norm_->forward(y) : y);
  const auto change = nn::linear(nn::activate(activation_, h), nn::matrix_like(up_, x));
  return y + (position_ == NormPosition::post ? norm_->forward(change) : change);
}

}  // namespace antiphon::adapters
