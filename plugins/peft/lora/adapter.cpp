#include "adapter.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/component/training_pass.h>
#include <antiphon/kernels/mm.h>
#include <antiphon/nn/deferred_gradients.h>
#include <antiphon/nn/keyed_dropout.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::lora {
namespace {

using nn::rows;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Base product and adapter in one node, which keeps x and scale · A x only: no copy of W, no product of its own to
// store.
struct LoraFunction : torch::autograd::Function<LoraFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, const at::Tensor& a, const at::Tensor& b,
                            double scale) {
    const auto x2 = rows(x);
    const auto u = kernels::mm(x2, nn::like(a, x).t()).mul_(scale);
    const auto y = nn::linear(x2, weight, bias.value_or(at::Tensor()));
    kernels::add_mm(y, u, nn::like(b, x).t());
    context->save_for_backward({x2, weight, a, b, u});
    context->saved_data["scale"] = scale;
    context->saved_data["later"] = reinterpret_cast<int64_t>(nn::DeferredGradients::now());
    auto shape = x.sizes().vec();
    shape.back() = weight.size(0);
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &a = saved[2], &b = saved[3], &u = saved[4];
    const double scale = context->saved_data["scale"].toDouble();
    const auto g = rows(grads[0]);
    const auto gu = kernels::mm(g, nn::like(b, g)).mul_(scale);
    at::Tensor grad_x;
    if (context->needs_input_grad(0)) {
      grad_x = kernels::mm(g, weight);
      kernels::add_mm(grad_x, gu, nn::like(a, g));
      auto shape = grads[0].sizes().vec();
      shape.back() = weight.size(1);
      grad_x = grad_x.view(shape);
    }
    const auto of_a = [gu, x, type = a.scalar_type()] { return kernels::mm(gu.t(), x).to(type); };
    const auto of_b = [g, u, type = b.scalar_type()] { return kernels::mm(g.t(), u).to(type); };
    if (auto* later = reinterpret_cast<nn::DeferredGradients*>(context->saved_data["later"].toInt())) {
      later->add(a, of_a), later->add(b, of_b);
      return {grad_x, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
    }
    return {grad_x, at::Tensor(), at::Tensor(), of_a(), of_b(), at::Tensor()};
  }
};

}  // namespace

LoraAdapter::LoraAdapter(std::string site, int64_t in, int64_t out, int64_t rank, double scale, double dropout)
    : site_(std::move(site)), scale_(scale), dropout_(dropout) {
  inputs_ = in;
  add("lora_A.weight", a_, {rank, in}, Init::linear_uniform, Role::matrix);
  add("lora_B.weight", b_, {out, rank}, Init::zeros, Role::matrix);
}

void LoraAdapter::keep_inputs(int64_t begin, int64_t size) {
  keep_part(a_, 1, begin, size);
  first_input_ += begin;
}

at::Tensor LoraAdapter::forward(const at::Tensor& x, const LinearBase& base) {
  const bool drops = dropout_ > 0 && TrainingPass::now();
  const auto plain = drops ? std::nullopt : base.plain(x);
  if (plain && !plain->weight.requires_grad() && !(plain->bias.defined() && plain->bias.requires_grad()))
    return LoraFunction::apply(x, plain->weight, plain->bias.defined() ? std::optional(plain->bias) : std::nullopt, a_,
                               b_, scale_);
  const auto branch = drops ? nn::keyed_dropout(x, dropout_, nn::dropout_key(site_), {0, first_input_, inputs_}) : x;
  return base.product(x) + nn::linear(nn::linear(branch, nn::like(a_, x)), nn::like(b_, x)) * scale_;
}

std::optional<LinearBase::Plain> LoraAdapter::merged(const LinearBase::Plain& base) const {
  if (!base.weight.defined()) return base;
  return LinearBase::Plain{at::addmm(base.weight.to(at::kFloat), b_.to(at::kFloat), a_.to(at::kFloat), 1, scale_),
                           base.bias};
}

}  // namespace antiphon::lora
