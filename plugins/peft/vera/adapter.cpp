#include "adapter.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/component/training_pass.h>
#include <antiphon/nn/keyed_dropout.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::vera {

VeraAdapter::VeraAdapter(std::string site, int64_t in, int64_t out, int64_t rank, double dropout,
                         std::shared_ptr<const Projections> shared)
    : site_(std::move(site)), in_(in), out_(out), all_in_(in), dropout_(dropout), shared_(std::move(shared)) {
  add("vera_lambda_d", d_, {rank}, Init::ones, Role::vector);
  add("vera_lambda_b", b_, {out}, Init::zeros, Role::vector);
}

void VeraAdapter::start(double d_initial) {
  c10::AutoGradMode no_grad(false);
  d_.fill_(d_initial);
}

at::Tensor VeraAdapter::forward(const at::Tensor& x, const LinearBase& base) {
  const bool drops = dropout_ > 0 && TrainingPass::now();
  const auto input = drops ? nn::keyed_dropout(x, dropout_, nn::dropout_key(site_), {0, first_in_, all_in_}) : x;
  const auto inner = nn::linear(input, nn::like(a(), x)) * nn::like(d_, x);
  return base.product(x) + nn::linear(inner, nn::like(b(), x)) * nn::like(b_, x);
}

LowRank VeraAdapter::low_rank() const { return {a() * d_.unsqueeze(1), b() * b_.unsqueeze(1), 1}; }

void VeraAdapter::keep_outputs(int64_t begin, int64_t size) {
  keep_part(b_, 0, begin, size);
  first_out_ = begin, out_ = size;
}

void VeraAdapter::keep_inputs(int64_t begin, int64_t size) { first_in_ = begin, in_ = size; }

std::optional<LinearBase::Plain> VeraAdapter::merged(const LinearBase::Plain& base) const {
  if (!base.weight.defined()) return base;
  const auto change = low_rank();
  return LinearBase::Plain{at::addmm(base.weight.to(at::kFloat), change.b.to(at::kFloat), change.a.to(at::kFloat)),
                           base.bias};
}

}  // namespace antiphon::vera
