#include "adapter.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/component/training_pass.h>
#include <antiphon/nn/keyed_dropout.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::vera {

VeraAdapter::VeraAdapter(std::string site, int64_t in, int64_t out, int64_t rank, double dropout,
                         std::shared_ptr<const Projections> shared)
    : site_(std::move(site)), in_(in), out_(out), dropout_(dropout), shared_(std::move(shared)) {
  add("vera_lambda_d", d_, {rank}, Init::ones, Role::vector);
  add("vera_lambda_b", b_, {out}, Init::zeros, Role::vector);
}

void VeraAdapter::start(double d_initial) {
  c10::AutoGradMode no_grad(false);
  d_.fill_(d_initial);
}

at::Tensor VeraAdapter::forward(const at::Tensor& x, const LinearBase& base) {
  const bool drops = dropout_ > 0 && TrainingPass::now();
  const auto input = drops ? nn::keyed_dropout(x, dropout_, nn::dropout_key(site_), {0, 0, in_}) : x;
  const auto inner = nn::linear(input, nn::like(shared_->a.narrow(1, 0, in_), x)) * nn::like(d_, x);
  return base.product(x) + nn::linear(inner, nn::like(shared_->b.narrow(0, 0, out_), x)) * nn::like(b_, x);
}

LowRank VeraAdapter::low_rank() const {
  return {shared_->a.narrow(1, 0, in_) * d_.unsqueeze(1), shared_->b.narrow(0, 0, out_) * b_.unsqueeze(1), 1};
}

std::optional<LinearBase::Plain> VeraAdapter::merged(const LinearBase::Plain& base) const {
  if (!base.weight.defined()) return base;
  const auto change = low_rank();
  return LinearBase::Plain{at::addmm(base.weight.to(at::kFloat), change.b.to(at::kFloat), change.a.to(at::kFloat)),
                           base.bias};
}

}  // namespace antiphon::vera
