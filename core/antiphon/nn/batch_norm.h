// Batch normalization (Ioffe and Szegedy 2015), as torch.nn.BatchNorm1d.
#pragma once
#include <antiphon/component/module.h>

namespace antiphon::nn {

// Parameters: weight, bias; running_mean and running_var, which have no gradient.
class BatchNorm : public Module {
 public:
  explicit BatchNorm(int64_t size, double eps = 1e-5, double momentum = 0.1);

  // x [n, size, t] -> the same shape and dtype. In training each channel is normalized by its mean and variance over n
  // and t, and these update the running statistics: running = (1 - momentum) running + momentum batch, with the
  // unbiased variance, in the dtype of the running statistics. Otherwise, for a batch of one vector, which has no
  // variance, and if `weight` is frozen, the running statistics are used. A pass that repeats one (training_pass.h)
  // updates nothing.
  at::Tensor forward(const at::Tensor& x_nct, bool training) const;

 private:
  at::Tensor by_batch(const at::Tensor& x_nct) const;
  double eps_, momentum_;
  at::Tensor weight_, bias_, running_mean_, running_var_;
};

}  // namespace antiphon::nn
