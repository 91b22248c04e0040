#include <antiphon/nn/linear/packed_weight.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <antiphon/kernels/onednn.h>

namespace antiphon::nn {

bool PackedWeight::fits(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const auto plain = [&](const at::Tensor& parameter) {
    return parameter.scalar_type() == x.scalar_type() && parameter.is_cpu() && !parameter.is_inference() &&
           !(at::GradMode::is_enabled() && parameter.requires_grad());
  };
  return x.is_cpu() && x.scalar_type() == at::kBFloat16 && x.numel() > 0 &&
         !(at::GradMode::is_enabled() && x.requires_grad()) && plain(weight) && (!bias.defined() || plain(bias)) &&
         kernels::onednn::has_bfloat16();
}

at::Tensor PackedWeight::of(const at::Tensor& weight, int64_t rows) {
  return packed_.get(weight, [&] { return kernels::onednn::packed(weight, rows); });
}

}  // namespace antiphon::nn
