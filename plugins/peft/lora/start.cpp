// How A and B begin, as PEFT's init_lora_weights names it: huggingface/peft, src/peft/tuners/lora/layer.py (0.21).
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/whole_of_parts.h>

#include <algorithm>
#include <cmath>

#include "adapter.h"
#include "lowrank_svd.h"
#include "start.h"

namespace antiphon::lora {
namespace {

// Both are unlike zero and their product is: each takes other rows of an orthogonal matrix.
Factors orthogonal(const LoraShape& shape, const at::Generator& generator) {
  const auto normal = [&](int64_t rows, int64_t columns) { return at::randn({rows, columns}, generator); };
  const auto basis = std::get<0>(at::linalg_qr(normal(shape.rank, shape.rank)));
  const auto half = [&](int64_t first) { return basis.slice(0, first, shape.rank, 2); };
  return {normal(shape.in, shape.rank / 2).mm(half(0)).t() / 10.0,
          normal(shape.rank / 2, shape.out).t().mm(half(1)) / 10.0};
}

Svd largest(const LoraShape& shape, const at::Tensor& weight, const at::Generator& generator) {
  if (shape.svd_iterations > 0) return svd_lowrank(weight, shape.rank, shape.svd_iterations, generator);
  const auto [u, s, vh] = at::linalg_svd(weight, /*full_matrices=*/false);
  return {u.slice(1, 0, shape.rank), s.slice(0, 0, shape.rank), vh.slice(0, 0, shape.rank).t()};
}

// The largest singular values and vectors of the weight: scale · B A is its best approximation of this rank.
Factors principal(const LoraShape& shape, const at::Tensor& weight, const at::Generator& generator) {
  const auto [u, s, v] = largest(shape, weight, generator);
  const auto root = (s / shape.scale).sqrt();
  return {root.unsqueeze(1) * v.t(), u * root};
}

}  // namespace

Factors drawn(const LoraShape& shape, const at::Generator& generator) {
  const auto normal = [&] { return at::randn({shape.rank, shape.in}, generator); };
  if (shape.init == "gaussian") return {normal() / static_cast<double>(shape.rank), {}};
  if (shape.init == "xavier") return {normal() * std::sqrt(2 / static_cast<double>(shape.rank + shape.in)), {}};
  return shape.init == "orthogonal" ? orthogonal(shape, generator) : Factors();
}

void LoraAdapter::start(const LinearBase& base, nn::Linear& layer, at::Generator generator) {
  if (a_.numel() == 0 || b_.numel() == 0) return;  // another process has it
  c10::AutoGradMode no_grad(false);
  const bool needs_weight = shape_.dora || shape_.init == "pissa";
  const auto weight = needs_weight ? base.weights().weight : at::Tensor();
  if (needs_weight && !weight.defined())
    fail(ErrorKind::config,
         fmt::format("lora: {}: this start is made of a matrix, and a method before it makes none", site_),
         "put this method before it");
  // What is drawn is of the whole layer, of which a process may have a part.
  const auto put_a = [&](at::Tensor& a, const at::Tensor& whole) { a.copy_(whole.narrow(1, first_input_, a.size(1))); };
  const auto put_b = [&](at::Tensor& b, const at::Tensor& whole) {
    b.copy_(whole.narrow(0, first_output_, b.size(0)));
  };
  const auto random = drawn(shape_, generator);
  if (random.a.defined()) put_a(a_, random.a);
  if (random.b.defined()) put_b(b_, random.b);
  if (shape_.init == "pissa") {
    const auto [a, b] = principal(shape_, nn::whole_of_parts(weight, layer), generator);
    put_a(a_, a), put_b(b_, b), put_a(a_start_, a), put_b(b_start_, b);
  }
  if (shape_.dora) magnitude_.copy_(base.over_inputs(matrix(weight).square().sum(1)).sqrt());
}

}  // namespace antiphon::lora
