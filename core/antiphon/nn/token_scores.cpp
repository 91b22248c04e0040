#include <antiphon/nn/token_scores.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/error.h>
#include <antiphon/comm/group.h>
#include <antiphon/kernels/mm.h>
#include <antiphon/kernels/ops.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/smoothing.h>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct ScoredAs : TokenScoreOptions {
  Smoothing smoothing;
};

// Rows of the products are padded to a multiple of this: bfloat16 products are compiled for each shape on the CPU.
constexpr int64_t kRowMultiple = 32;

at::Tensor filled(const at::Tensor& rows) {
  if (!rows.device().is_cpu() || rows.scalar_type() == at::kFloat) return rows;
  const int64_t missing = (kRowMultiple - rows.size(0) % kRowMultiple) % kRowMultiple;
  return missing ? at::constant_pad_nd(rows, {0, 0, 0, missing}) : rows;
}

// float16 has no digits left for the gradients of unlikely tokens: their products are of so many times the gradient.
constexpr double kHalfUnit = 256;

bool is_half(const at::Tensor& x) { return x.scalar_type() == at::kHalf; }

// grad [n, tokens] times the head [tokens, d], in the head's dtype; of float16, kHalfUnit times as much.
at::Tensor times_head(const at::Tensor& grad, const at::Tensor& head) {
  return kernels::mm(is_half(head) ? (grad * kHalfUnit).to(at::kHalf) : grad, head);
}

// Of each process: [processes, n, columns], of this one alone without a group.
at::Tensor of_all(const at::Tensor& own, comm::Group* group) {
  if (!group) return own.unsqueeze(0);
  const auto all = at::empty({group->size(), own.size(0), own.size(1)}, own.options());
  group->gather(own, all);
  return all;
}

// Of each label, among the tokens whose logits this process has.
struct LabelPlace {
  at::Tensor own, index;  // [n] whether it is one of them, [n, 1] as which
};
LabelPlace label_place(const at::Tensor& logits, const at::Tensor& labels, int64_t first_token) {
  const auto rows = labels - first_token;
  const auto own = rows.ge(0).logical_and(rows.lt(logits.size(1)));
  return {own, (rows * own).unsqueeze(1)};
}

// Of logits [n, some tokens] in each process: from the largest, the sum and the label's one of each; with smoothing
// also the sum of the logits and how many they are.
kernels::CrossEntropy composed_cross_entropy(const at::Tensor& logits, const at::Tensor& labels, bool gradient,
                                             const TokenScoreOptions& o, const Smoothing& smoothing) {
  const auto wide = logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat);
  const auto [own, index] = label_place(logits, labels, o.group ? o.first_token : 0);
  const auto largest = wide.amax(1);
  auto exponentials = (wide - largest.unsqueeze(1)).exp_();
  std::vector<at::Tensor> columns{largest, exponentials.sum(1), wide.gather(1, index).squeeze(1) * own};
  if (smoothing.any())
    columns.insert(columns.end(), {wide.sum(1), at::full_like(largest, static_cast<double>(logits.size(1)))});
  const auto all = of_all(at::stack(columns, 1).contiguous(), o.group);
  // Relative to the largest of all: plain sums of logits lose their last digits.
  const auto top = all.select(2, 0).amax(0);
  const auto sum = ((all.select(2, 0) - top).exp_() * all.select(2, 1)).sum(0);
  const auto normalizer = sum.log(), of_label = all.select(2, 2).sum(0) - top;
  auto loss = normalizer - of_label;
  auto scale = at::ones_like(sum);  // of the probabilities in the gradient
  at::Tensor others;                // what the gradient of every logit has less
  if (smoothing.any()) {
    const auto tokens = all.select(2, 4).sum(0);
    const auto lse = normalizer + top, of_mean = all.select(2, 3).sum(0) / tokens - top;
    loss = loss + smoothing.label_smoothing * (of_label - of_mean) + smoothing.z_loss * lse.square();
    scale = scale + 2 * smoothing.z_loss * lse;
    others = smoothing.label_smoothing / tokens;
  }
  kernels::CrossEntropy of{loss.to(at::kFloat), {}};
  if (!gradient) return of;
  exponentials.mul_((scale * (largest - top).exp_() / sum).unsqueeze(1));
  if (others.defined()) exponentials.sub_(others.unsqueeze(1));
  exponentials.scatter_add_(1, index, (own.to(wide.scalar_type()) * (smoothing.label_smoothing - 1)).unsqueeze(1));
  of.grad = exponentials.to(logits.scalar_type());
  return of;
}

// The logits of one chunk of positions after another, as kernels::cross_entropy gives their losses and gradients: in
// the logits' dtype, or float32 if that is float16.
template <class Body>
void each_chunk(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& labels, const ScoredAs& o,
                bool gradient, Body&& body) {
  for (int64_t begin = 0; begin < hidden.size(0); begin += o.chunk) {
    const int64_t n = std::min(o.chunk, hidden.size(0) - begin);
    const auto x = hidden.narrow(0, begin, n), of = labels.narrow(0, begin, n);
    auto products = kernels::mm(x, head.t());
    if (is_half(products)) products = products.to(at::kFloat);
    const auto logits = o.logits.applied(products);
    const auto slope = gradient && o.logits.any() ? o.logits.slope(logits) : at::Tensor();
    auto entropy = o.group || o.smoothing.any() ? composed_cross_entropy(logits, of, gradient, o, o.smoothing)
                                                : kernels::cross_entropy(logits, of, gradient);
    if (slope.defined()) entropy.grad = entropy.grad * slope;
    body(begin, n, x, entropy);
  }
}

struct Scores {
  // -logp; gradients of its sum, undefined if not wanted; of float16, grad_hidden is kHalfUnit times that.
  at::Tensor loss_n, grad_hidden, grad_head;
};

Scores run(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& labels, const ScoredAs& o,
           bool want_hidden, bool want_head) {
  Scores out{at::empty({hidden.size(0)}, hidden.options().dtype(at::kFloat)), {}, {}};
  if (want_hidden) out.grad_hidden = at::empty_like(hidden);
  if (want_head) out.grad_head = at::zeros(head.sizes(), head.options().dtype(at::kFloat));
  const bool wanted = want_hidden || want_head;
  each_chunk(hidden, head, labels, o, wanted, [&](int64_t begin, int64_t n, const at::Tensor& x, const auto& of) {
    out.loss_n.narrow(0, begin, n).copy_(of.token_loss);
    if (!wanted) return;
    const auto grad = filled(of.grad);
    if (want_hidden) out.grad_hidden.narrow(0, begin, n).copy_(times_head(grad, head).narrow(0, 0, n));
    if (want_head) out.grad_head.add_(kernels::mm(grad.narrow(0, 0, n).to(x.scalar_type()).t(), x));
  });
  return out;
}

// The gradient of the head, with one factor per position.
at::Tensor head_gradient(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& labels, const ScoredAs& o,
                         const at::Tensor& scale_n) {
  auto grad_head = at::zeros(head.sizes(), head.options().dtype(at::kFloat));
  each_chunk(hidden, head, labels, o, true, [&](int64_t begin, int64_t n, const at::Tensor& x, const auto& of) {
    const auto scaled = of.grad * scale_n.narrow(0, begin, n).to(of.grad.scalar_type()).unsqueeze(1);
    grad_head.add_(kernels::mm(scaled.to(x.scalar_type()).t(), x));
  });
  return grad_head;
}

// The one factor shared by all positions.
at::Tensor even(const at::Tensor& scale_n) {
  if (scale_n.size(0) == 0) return at::zeros({}, scale_n.options());
  if (!scale_n.is_meta() && !scale_n.eq(scale_n[0]).all().item<bool>())
    fail(ErrorKind::internal, "the objective's gradient differs between tokens, and it says that it does not");
  return scale_n[0];
}

// The gradient of the hidden states, with one factor per position.
at::Tensor scaled_hidden(const at::Tensor& grad_hidden, const at::Tensor& scale_n) {
  if (!is_half(grad_hidden)) return grad_hidden * scale_n.to(grad_hidden.scalar_type()).unsqueeze(1);
  return (grad_hidden.to(at::kFloat) * (scale_n / kHalfUnit).unsqueeze(1)).to(at::kHalf);
}

struct TokenScoresFunction : torch::autograd::Function<TokenScoresFunction> {
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& head,
                               const at::Tensor& labels, int64_t chunk, bool even_gradient, int64_t group,
                               int64_t first_token, double label_smoothing, double z_loss, double multiplier,
                               double cap) {
    const ScoredAs o{{chunk, even_gradient, reinterpret_cast<comm::Group*>(group), first_token, {multiplier, cap}},
                     {label_smoothing, z_loss}};
    const bool want_head = context->needs_input_grad(1), again = want_head && !even_gradient;
    auto scores = run(hidden, head, labels, o, context->needs_input_grad(0), want_head && even_gradient);
    context->save_for_backward({scores.grad_hidden, scores.grad_head, again ? hidden : at::Tensor(),
                                again ? head : at::Tensor(), again ? labels : at::Tensor()});
    context->saved_data["options"] = std::vector<int64_t>{chunk, group, first_token};
    context->saved_data["rules"] = std::vector<double>{label_smoothing, z_loss, multiplier, cap};
    return {scores.loss_n.neg_()};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto scale_n = grads[0].neg();
    at::Tensor hidden, head;
    if (saved[0].defined()) hidden = scaled_hidden(saved[0], scale_n);
    if (saved[1].defined()) head = saved[1] * even(scale_n);
    const auto options = context->saved_data["options"].toIntVector();
    const auto rules = context->saved_data["rules"].toDoubleVector();
    const ScoredAs o{{options[0], false, reinterpret_cast<comm::Group*>(options[1]), options[2], {rules[2], rules[3]}},
                     {rules[0], rules[1]}};
    if (saved[2].defined()) head = head_gradient(saved[2], saved[3], saved[4], o, scale_n);
    return {hidden, head, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor token_scores(const at::Tensor& hidden_nd, const at::Tensor& head_vd, const at::Tensor& labels_n,
                        const TokenScoreOptions& o) {
  const auto head = matrix_like(head_vd, hidden_nd);
  const auto smoothing = Smoothing::now();
  // An autograd function with no differentiable input cannot be asked which inputs need a gradient.
  if (!at::GradMode::is_enabled() || !(hidden_nd.requires_grad() || head.requires_grad()))
    return run(hidden_nd, head, labels_n, {o, smoothing}, false, false).loss_n.neg_();
  return TokenScoresFunction::apply(hidden_nd, head, labels_n, o.chunk, o.even_gradient,
                                    reinterpret_cast<int64_t>(o.group), o.first_token, smoothing.label_smoothing,
                                    smoothing.z_loss, o.logits.multiplier, o.logits.cap)[0];
}

}  // namespace antiphon::nn
