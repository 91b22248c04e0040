// Cross entropy over supervised positions, in chunks: no [all positions, vocabulary] tensor is ever alive. The
// gradient of a chunk is made while its logits are at hand, as in Cut Cross-Entropy (Wijmans et al. 2024).
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/component/loss.h>
#include <antiphon/component/register.h>
#include <antiphon/kernels/mm.h>
#include <antiphon/kernels/ops.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::cross_entropy {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Chunks {
  at::Tensor token_loss, grad_hidden, grad_weight;  // gradients of the sum, undefined where not wanted
};

// Rows of the products are filled up to a multiple of this: those of bfloat16 are compiled for each shape on the CPU.
constexpr int64_t kRowMultiple = 32;

at::Tensor filled(const at::Tensor& rows) {
  if (!rows.device().is_cpu() || rows.scalar_type() == at::kFloat) return rows;
  const int64_t missing = (kRowMultiple - rows.size(0) % kRowMultiple) % kRowMultiple;
  return missing ? at::constant_pad_nd(rows, {0, 0, 0, missing}) : rows;
}

Chunks run(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& labels, int64_t chunk,
           bool want_hidden, bool want_weight) {
  Chunks out{at::empty({hidden.size(0)}, hidden.options().dtype(at::kFloat)), {}, {}};
  if (want_hidden) out.grad_hidden = at::empty_like(hidden);
  if (want_weight) out.grad_weight = at::zeros(weight.sizes(), weight.options().dtype(at::kFloat));
  const bool wanted = want_hidden || want_weight;
  for (int64_t begin = 0; begin < hidden.size(0); begin += chunk) {
    const int64_t n = std::min(chunk, hidden.size(0) - begin);
    const auto x = hidden.narrow(0, begin, n);
    const auto chunk_of = kernels::cross_entropy(kernels::mm(x, weight.t()), labels.narrow(0, begin, n), wanted);
    out.token_loss.narrow(0, begin, n).copy_(chunk_of.token_loss);
    if (!wanted) continue;
    const auto grad_cast = filled(chunk_of.grad);
    if (want_hidden) out.grad_hidden.narrow(0, begin, n).copy_(kernels::mm(grad_cast, weight).narrow(0, 0, n));
    if (want_weight) out.grad_weight.add_(kernels::mm(grad_cast.narrow(0, 0, n).t(), x));
  }
  return out;
}

struct CrossEntropyFunction : torch::autograd::Function<CrossEntropyFunction> {
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight,
                               const at::Tensor& labels, double normalizer, int64_t chunk) {
    const auto chunks = run(hidden, weight, labels, chunk, context->needs_input_grad(0), context->needs_input_grad(1));
    context->save_for_backward({chunks.grad_hidden, chunks.grad_weight});
    context->saved_data["normalizer"] = normalizer;
    context->mark_non_differentiable({chunks.token_loss});
    return {chunks.token_loss.sum().div_(normalizer), chunks.token_loss};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto scale = grads[0] / context->saved_data["normalizer"].toDouble();
    auto scaled = [&](const at::Tensor& grad) { return grad.defined() ? grad * scale.to(grad.scalar_type()) : grad; };
    return {scaled(saved[0]), scaled(saved[1]), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

struct CrossEntropyOptions {
  int64_t chunk = 256;
};

const config::Table<CrossEntropyOptions>& cross_entropy_table() {
  static const auto* table = new config::Table<CrossEntropyOptions>(
      config::Table<CrossEntropyOptions>("cross_entropy")
          .field("chunk", &CrossEntropyOptions::chunk, "positions whose logits are alive at once", {.min = 1}));
  return *table;
}

class CrossEntropy : public Loss {
 public:
  explicit CrossEntropy(const CrossEntropyOptions& options) : chunk_(options.chunk) {}

  LossOutput forward(const LossInput& input) override {
    const auto weight = nn::matrix_like(input.head_weight_vd, input.hidden_nd);
    const bool wanted = at::GradMode::is_enabled() && (input.hidden_nd.requires_grad() || weight.requires_grad());
    if (!wanted) {  // an autograd function without an input to differentiate cannot be asked which ones are
      const auto chunks = run(input.hidden_nd, weight, input.labels_n, chunk_, false, false);
      return {chunks.token_loss.sum().div_(input.normalizer), chunks.token_loss};
    }
    const auto out = CrossEntropyFunction::apply(input.hidden_nd, weight, input.labels_n, input.normalizer, chunk_);
    return {out[0], out[1].detach()};
  }

 private:
  int64_t chunk_;
};

}  // namespace antiphon::cross_entropy

ANTIPHON_PLUGIN(cross_entropy, "0.1.0") {
  using namespace antiphon::cross_entropy;
  antiphon::register_component<antiphon::Loss, CrossEntropy>(registrar, "cross_entropy",
                                        "cross entropy over supervised positions, in chunks", cross_entropy_table());
}
