// Normalisation over the last axis. Statistics are taken in float32, whatever the dtype of x.
#pragma once
#include <antiphon/component/module.h>

namespace antiphon::nn {

// y = x / sqrt(mean(x²) + eps) · weight (Zhang & Sennrich 2019).
class RmsNorm : public Module {
 public:
  RmsNorm(int64_t size, double eps);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  at::Tensor weight_;
  double eps_;
};

// y = (x − mean) / sqrt(var + eps) · weight + bias (Ba et al. 2016).
class LayerNorm : public Module {
 public:
  LayerNorm(int64_t size, double eps);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  at::Tensor weight_, bias_;
  double eps_;
};

}  // namespace antiphon::nn
