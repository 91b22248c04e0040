// Normalisation over the last axis. Statistics are taken in float32, whatever the dtype of x.
#pragma once
#include <antiphon/component/module.h>

namespace antiphon::nn {

enum class NormKind {
  rms,            // x / sqrt(mean(x²) + eps) · weight (Zhang & Sennrich 2019)
  rms_plus_one,   // the same with weight + 1: the stored weight is around zero (transformers: models/gemma)
  layer,          // (x − mean) / sqrt(var + eps) · weight + bias (Ba et al. 2016)
  layer_plus_one  // that with weight + 1 (NeMo's layernorm1p)
};

// Parameters: weight [size], and bias [size] except for rms and rms_plus_one.
class Norm : public Module {
 public:
  Norm(NormKind kind, int64_t size, double eps);
  at::Tensor forward(const at::Tensor& x) const;

  NormKind kind() const { return kind_; }
  const at::Tensor& weight() const { return weight_; }
  double eps() const { return eps_; }

 private:
  NormKind kind_;
  at::Tensor weight_, bias_;
  double eps_;
};

}  // namespace antiphon::nn
