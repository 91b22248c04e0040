// How A and B begin, as PEFT's init_lora_weights names it: huggingface/peft, src/peft/tuners/lora/layer.py (0.21).
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/whole_of_parts.h>

#include <algorithm>
#include <cmath>

#include "adapter.h"

namespace antiphon::lora {
namespace {

struct Factors {
  at::Tensor a, b;
};

// Both are unlike zero and their product is: each takes other rows of an orthogonal matrix.
Factors orthogonal(const LoraShape& shape, const at::Generator& generator) {
  const auto normal = [&](int64_t rows, int64_t columns) { return at::randn({rows, columns}, generator); };
  const auto basis = std::get<0>(at::linalg_qr(normal(shape.rank, shape.rank)));
  const auto half = [&](int64_t first) { return basis.slice(0, first, shape.rank, 2); };
  return {normal(shape.in, shape.rank / 2).mm(half(0)).t() / 10.0,
          normal(shape.rank / 2, shape.out).t().mm(half(1)) / 10.0};
}

// The largest singular values and vectors of the weight: scale · B A is its best approximation of this rank.
Factors principal(const LoraShape& shape, const at::Tensor& weight) {
  const auto [u, s, v] = at::linalg_svd(weight, /*full_matrices=*/false);
  const auto root = (s.slice(0, 0, shape.rank) / shape.scale).sqrt();
  return {root.unsqueeze(1) * v.slice(0, 0, shape.rank), u.slice(1, 0, shape.rank) * root};
}

}  // namespace

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
  if (shape_.init == "gaussian")
    put_a(a_, at::randn({shape_.rank, shape_.in}, generator) / static_cast<double>(shape_.rank));
  if (shape_.init == "xavier")
    put_a(a_,
          at::randn({shape_.rank, shape_.in}, generator) * std::sqrt(2 / static_cast<double>(shape_.rank + shape_.in)));
  if (shape_.init == "orthogonal") {
    const auto [a, b] = orthogonal(shape_, generator);
    put_a(a_, a), put_b(b_, b);
  }
  if (shape_.init == "pissa") {
    const auto [a, b] = principal(shape_, nn::whole_of_parts(weight, layer));
    put_a(a_, a), put_b(b_, b), put_a(a_start_, a), put_b(b_start_, b);
  }
  if (shape_.dora) magnitude_.copy_(base.over_inputs(matrix(weight).square().sum(1)).sqrt());
}

}  // namespace antiphon::lora
