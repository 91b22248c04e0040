#include <antiphon/nn/batch_norm.h>

#include <ATen/ATen.h>

#include <antiphon/component/training_pass.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::nn {

BatchNorm::BatchNorm(int64_t size, double eps, double momentum) : eps_(eps), momentum_(momentum) {
  add("weight", weight_, {size}, Init::ones, Role::vector);
  add("bias", bias_, {size}, Init::zeros, Role::vector);
  add_fixed("running_mean", running_mean_, {size}, Init::zeros);
  add_fixed("running_var", running_var_, {size}, Init::ones);
}

// In the dtype of the running statistics: a tenth of a small change is lost in bf16. The backward pass keeps what it is
// given of them, and other batches may come before it.
at::Tensor BatchNorm::by_batch(const at::Tensor& x_nct) const {
  const auto x = like(x_nct, running_mean_);
  const bool counts = !TrainingPass::again();
  const auto mean = counts ? running_mean_.clone() : at::Tensor(), var = counts ? running_var_.clone() : at::Tensor();
  const auto y = at::batch_norm(x, like(weight_, x), like(bias_, x), mean, var, /*training=*/true, momentum_, eps_,
                                /*cudnn_enabled=*/false);
  if (counts) running_mean_.copy_(mean), running_var_.copy_(var);
  return like(y, x_nct);
}

at::Tensor BatchNorm::forward(const at::Tensor& x_nct, bool pass_trains) const {
  const bool training = pass_trains && weight_.requires_grad();
  if (training && x_nct.size(0) * x_nct.size(2) > 1) return by_batch(x_nct);
  const auto kept = [&](const at::Tensor& running) { return like(training ? running.clone() : running, x_nct); };
  return at::batch_norm(x_nct, like(weight_, x_nct), like(bias_, x_nct), kept(running_mean_), kept(running_var_),
                        /*training=*/false, momentum_, eps_, /*cudnn_enabled=*/false);
}

}  // namespace antiphon::nn
