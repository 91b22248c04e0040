#include "adapter.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/error.h>
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

LoraAdapter::LoraAdapter(std::string site, const LoraShape& shape) : site_(std::move(site)), shape_(shape) {
  add("lora_A.weight", a_, {shape.rank, shape.in}, Init::linear_uniform, Role::matrix);
  add("lora_B.weight", b_, {shape.out, shape.rank}, Init::zeros, Role::matrix);
  if (shape.init == "pissa") {
    add_constant("lora_A_start", a_start_, {shape.rank, shape.in});
    add_constant("lora_B_start", b_start_, {shape.out, shape.rank});
  }
  if (shape.dora) add("lora_magnitude_vector", magnitude_, {shape.out}, Init::zeros, Role::vector);
}

void LoraAdapter::keep_outputs(int64_t begin, int64_t size) {
  keep_part(b_, 0, begin, size);
  if (b_start_.defined()) keep_part(b_start_, 0, begin, size);
  first_output_ = begin;
  if (shape_.dora) keep_part(magnitude_, 0, begin, size);
}

void LoraAdapter::keep_inputs(int64_t begin, int64_t size) {
  keep_part(a_, 1, begin, size);
  if (a_start_.defined()) keep_part(a_start_, 1, begin, size);
  first_input_ += begin;
}

bool LoraAdapter::drops() const { return shape_.dropout > 0 && TrainingPass::now(); }

at::Tensor LoraAdapter::dropped(const at::Tensor& x) const {
  if (!drops() || shape_.drops_output) return x;
  return nn::keyed_dropout(x, shape_.dropout, nn::dropout_key(site_), {0, first_input_, shape_.in});
}

// Of outputs that several processes add up each drops the same.
at::Tensor LoraAdapter::dropped_output(const at::Tensor& y) const {
  if (!drops() || !shape_.drops_output) return y;
  return nn::keyed_dropout(y, shape_.dropout, nn::dropout_key(site_), {0, first_output_, shape_.out});
}

at::Tensor LoraAdapter::changed(const at::Tensor& x) const {
  return nn::linear(nn::linear(x, nn::like(a_, x)), nn::like(b_, x)) * shape_.scale;
}

at::Tensor LoraAdapter::without_start(const at::Tensor& y, const at::Tensor& x) const {
  if (!a_start_.defined()) return y;
  return y - nn::linear(nn::linear(x, nn::like(a_start_, x)), nn::like(b_start_, x)) * shape_.scale;
}

at::Tensor LoraAdapter::forward(const at::Tensor& x, const LinearBase& base) {
  if (shape_.dora) return directed(x, base);
  const auto plain = drops() ? std::nullopt : base.plain(x);
  if (plain && !plain->weight.requires_grad() && !(plain->bias.defined() && plain->bias.requires_grad())) {
    const auto bias = plain->bias.defined() ? std::optional(plain->bias) : std::nullopt;
    return without_start(LoraFunction::apply(x, plain->weight, bias, a_, b_, shape_.scale), x);
  }
  return without_start(base.product(x), x) + dropped_output(changed(dropped(x)));
}

// The lengths of the rows of W + s B A [out] and whether there is a bias. Of a W that stays, without forming the sum:
// |w + s b A|² = |w|² + 2 s b · (A w) + s² b · (A Aᵀ bᵀ), row by row.
LoraAdapter::Lengths LoraAdapter::lengths(const LinearBase& base) const {
  c10::AutoGradMode no_grad(false);
  const auto change = whole();
  const auto a = change.a.to(at::kFloat), b = change.b.to(at::kFloat);
  if (const auto fixed = base.rows(a)) {
    const auto crossed = (b * fixed->products_nd.t()).sum(1), own = (b.mm(a.mm(a.t())) * b).sum(1);
    const auto squares = fixed->squares + crossed * (2 * change.scale) + own * (change.scale * change.scale);
    return {base.over_inputs(squares).clamp_min(0).sqrt(), fixed->biased};
  }
  const auto weights = base.weights();
  if (!weights.weight.defined())
    fail(ErrorKind::config,
         fmt::format("lora: {}: dora scales the rows of a matrix, and a method before it makes none", site_),
         "put the method with dora before it");
  return {base.over_inputs(matrix(weights.weight).square().sum(1)).sqrt(), weights.bias.defined()};
}

at::Tensor LoraAdapter::directed(const at::Tensor& x, const LinearBase& base) const {
  const auto [length, biased] = lengths(base);
  const auto ratio = nn::like(magnitude_ / length, x);
  const auto of_base = [&](const at::Tensor& input) { return without_start(base.product(input), input); };
  const auto input = dropped(x), y = of_base(x);
  auto turned = drops() ? of_base(input) : y;
  // The bias is not scaled; asked of the map, since it may be trained, here or in a method before.
  if (biased) turned = turned - base.product(at::zeros({1, x.size(-1)}, x.options()));
  return y + turned * (ratio - 1) + changed(input) * ratio;
}

at::Tensor LoraAdapter::matrix(const at::Tensor& weight) const {
  const auto all = whole();
  return at::addmm(weight.to(at::kFloat), all.b.to(at::kFloat), all.a.to(at::kFloat), 1, shape_.scale);
}

LowRank LoraAdapter::whole() const {
  if (!a_start_.defined()) return {a_, b_, shape_.scale};
  return {at::cat({a_, a_start_}), at::cat({b_, -b_start_}, 1), shape_.scale};
}

LowRank LoraAdapter::low_rank() const { return shape_.dora ? LowRank() : whole(); }

std::optional<LinearBase::Plain> LoraAdapter::merged(const LinearBase::Plain& base) const {
  if (!base.weight.defined()) return base;
  const auto weight = matrix(base.weight);
  if (!shape_.dora) return LinearBase::Plain{weight, base.bias};
  if (at::count_nonzero(magnitude_).item<int64_t>() == 0)
    fail(ErrorKind::config, fmt::format("lora: {}: dora begins when it is trained; there is nothing to merge", site_),
         "train it first, or leave the method out");
  const auto ratio = magnitude_.to(at::kFloat) / at::linalg_vector_norm(weight, 2, 1);
  return LinearBase::Plain{weight * ratio.unsqueeze(1), base.bias};
}

}  // namespace antiphon::lora
