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

// What logits are made of: hidden · headᵀ, and if they are defined, inner · outerᵀ and what the columns of tokens `ids`
// get.
struct Factors {
  at::Tensor hidden, head, inner, outer, columns, ids;
};

// Which of their gradients are wanted.
struct Wanted {
  bool hidden = false, head = false, inner = false, outer = false, columns = false;
  bool any() const { return hidden || head || inner || outer || columns; }
};

// The logits of one chunk of positions after another, as kernels::cross_entropy gives their losses and gradients: in
// the logits' dtype, or float32 if that is float16.
template <class Body>
void each_chunk(const Factors& f, const at::Tensor& labels, const ScoredAs& o, bool gradient, Body&& body) {
  for (int64_t begin = 0; begin < f.hidden.size(0); begin += o.chunk) {
    const int64_t n = std::min(o.chunk, f.hidden.size(0) - begin);
    const auto of = labels.narrow(0, begin, n);
    auto products = kernels::mm(f.hidden.narrow(0, begin, n), f.head.t());
    if (f.inner.defined()) kernels::add_mm(products, f.inner.narrow(0, begin, n), f.outer.t());
    if (f.columns.defined()) products.index_add_(1, f.ids, f.columns.narrow(0, begin, n));
    if (is_half(products)) products = products.to(at::kFloat);
    const auto logits = o.logits.applied(products);
    const auto slope = gradient && o.logits.any() ? o.logits.slope(logits) : at::Tensor();
    auto entropy = o.group || o.smoothing.any() ? composed_cross_entropy(logits, of, gradient, o, o.smoothing)
                                                : kernels::cross_entropy(logits, of, gradient);
    if (slope.defined()) entropy.grad = entropy.grad * slope;
    body(begin, n, entropy);
  }
}

struct Scores {
  at::Tensor loss_n;  // -logp
  // Of its sum, undefined if not wanted; of float16, those of hidden, inner and columns are kHalfUnit times that.
  Factors grads;
};

at::Tensor sum_for(const at::Tensor& table) { return at::zeros(table.sizes(), table.options().dtype(at::kFloat)); }

// What a chunk's gradient of logits [n, tokens] gives a table whose products with x [n, width] they are.
void add_to_table(const at::Tensor& sum, const at::Tensor& grad, const at::Tensor& x) {
  sum.add_(kernels::mm(grad.to(x.scalar_type()).t(), x));
}

// What a chunk's gradient of logits gives the columns of some tokens; of float16, kHalfUnit times as much.
at::Tensor of_columns(const at::Tensor& grad, const Factors& f) {
  const auto own = grad.index_select(1, f.ids);
  return is_half(f.columns) ? own * kHalfUnit : own;
}

Scores run(const Factors& f, const at::Tensor& labels, const ScoredAs& o, const Wanted& want) {
  Scores out{at::empty({f.hidden.size(0)}, f.hidden.options().dtype(at::kFloat)), {}};
  auto& grads = out.grads;
  if (want.hidden) grads.hidden = at::empty_like(f.hidden);
  if (want.inner) grads.inner = at::empty_like(f.inner);
  if (want.columns) grads.columns = at::empty_like(f.columns);
  if (want.head) grads.head = sum_for(f.head);
  if (want.outer) grads.outer = sum_for(f.outer);
  each_chunk(f, labels, o, want.any(), [&](int64_t begin, int64_t n, const auto& of) {
    out.loss_n.narrow(0, begin, n).copy_(of.token_loss);
    if (!want.any()) return;
    const auto grad = filled(of.grad), own = grad.narrow(0, 0, n);
    if (want.hidden) grads.hidden.narrow(0, begin, n).copy_(times_head(grad, f.head).narrow(0, 0, n));
    if (want.inner) grads.inner.narrow(0, begin, n).copy_(times_head(grad, f.outer).narrow(0, 0, n));
    if (want.columns) grads.columns.narrow(0, begin, n).copy_(of_columns(own, f));
    if (want.head) add_to_table(grads.head, own, f.hidden.narrow(0, begin, n));
    if (want.outer) add_to_table(grads.outer, own, f.inner.narrow(0, begin, n));
  });
  return out;
}

// The gradients of head and outer, with one factor per position.
Factors table_gradients(const Factors& f, const at::Tensor& labels, const ScoredAs& o, const Wanted& want,
                        const at::Tensor& scale_n) {
  Factors grads;
  if (want.head) grads.head = sum_for(f.head);
  if (want.outer) grads.outer = sum_for(f.outer);
  each_chunk(f, labels, o, true, [&](int64_t begin, int64_t n, const auto& of) {
    const auto scaled = of.grad * scale_n.narrow(0, begin, n).to(of.grad.scalar_type()).unsqueeze(1);
    if (want.head) add_to_table(grads.head, scaled, f.hidden.narrow(0, begin, n));
    if (want.outer) add_to_table(grads.outer, scaled, f.inner.narrow(0, begin, n));
  });
  return grads;
}

// The one factor shared by all positions.
at::Tensor even(const at::Tensor& scale_n) {
  if (scale_n.size(0) == 0) return at::zeros({}, scale_n.options());
  if (!scale_n.is_meta() && !scale_n.eq(scale_n[0]).all().item<bool>())
    fail(ErrorKind::internal, "the objective's gradient differs between tokens, and it says that it does not");
  return scale_n[0];
}

// The gradient of hidden, inner or columns, with one factor per position.
at::Tensor scaled_hidden(const at::Tensor& grad_hidden, const at::Tensor& scale_n) {
  if (!is_half(grad_hidden)) return grad_hidden * scale_n.to(grad_hidden.scalar_type()).unsqueeze(1);
  return (grad_hidden.to(at::kFloat) * (scale_n / kHalfUnit).unsqueeze(1)).to(at::kHalf);
}

struct TokenScoresFunction : torch::autograd::Function<TokenScoresFunction> {
  // The gradients of tables are computed again if not all positions have one factor.
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& head,
                               const at::Tensor& labels, const std::optional<at::Tensor>& inner,
                               const std::optional<at::Tensor>& outer, const std::optional<at::Tensor>& columns,
                               const std::optional<at::Tensor>& ids, int64_t chunk, bool even_gradient, int64_t group,
                               int64_t first_token, double label_smoothing, double z_loss, double multiplier,
                               double cap) {
    const ScoredAs o{{chunk, even_gradient, reinterpret_cast<comm::Group*>(group), first_token, {multiplier, cap}},
                     {label_smoothing, z_loss}};
    const auto of = [](const std::optional<at::Tensor>& t) { return t.value_or(at::Tensor()); };
    const Factors factors{hidden, head, of(inner), of(outer), of(columns), of(ids)};
    // Optional tensors that are absent do not count as inputs.
    const bool of_head = context->needs_input_grad(1), of_inner = inner && context->needs_input_grad(3),
               of_outer = outer && context->needs_input_grad(4),
               of_columns = columns && context->needs_input_grad(inner ? 5 : 3),
               again = (of_head || of_outer) && !even_gradient;
    auto scores =
        run(factors, labels, o,
            {context->needs_input_grad(0), of_head && even_gradient, of_inner, of_outer && even_gradient, of_columns});
    const auto& grads = scores.grads;
    const auto kept = again ? factors : Factors();
    context->save_for_backward({grads.hidden, grads.head, grads.inner, grads.outer, grads.columns, kept.hidden,
                                kept.head, kept.inner, kept.outer, kept.columns, kept.ids,
                                again ? labels : at::Tensor()});
    context->saved_data["options"] = std::vector<int64_t>{chunk, group, first_token, of_head, of_outer};
    context->saved_data["rules"] = std::vector<double>{label_smoothing, z_loss, multiplier, cap};
    return {scores.loss_n.neg_()};
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const auto saved = context->get_saved_variables();
    const auto scale_n = upstream[0].neg();
    Factors grads;
    if (saved[0].defined()) grads.hidden = scaled_hidden(saved[0], scale_n);
    if (saved[1].defined()) grads.head = saved[1] * even(scale_n);
    if (saved[2].defined()) grads.inner = scaled_hidden(saved[2], scale_n);
    if (saved[3].defined()) grads.outer = saved[3] * even(scale_n);
    if (saved[4].defined()) grads.columns = scaled_hidden(saved[4], scale_n);
    const auto options = context->saved_data["options"].toIntVector();
    const auto rules = context->saved_data["rules"].toDoubleVector();
    const ScoredAs o{{options[0], false, reinterpret_cast<comm::Group*>(options[1]), options[2], {rules[2], rules[3]}},
                     {rules[0], rules[1]}};
    if (saved[5].defined()) {
      const auto tables = table_gradients({saved[5], saved[6], saved[7], saved[8], saved[9], saved[10]}, saved[11], o,
                                          {.head = options[3] != 0, .outer = options[4] != 0}, scale_n);
      grads.head = tables.head, grads.outer = tables.outer;
    }
    return {grads.hidden, grads.head, {}, grads.inner, grads.outer, grads.columns, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor token_scores(const at::Tensor& hidden_nd, const at::Tensor& head_vd, const at::Tensor& labels_n,
                        const TokenScoreOptions& o, const AddedProducts& added) {
  const auto head = matrix_like(head_vd, hidden_nd);
  const auto smoothing = Smoothing::now();
  // An autograd function with no differentiable input cannot be asked which inputs need a gradient.
  const auto wants = [](const at::Tensor& t) { return t.defined() && t.requires_grad(); };
  if (!at::GradMode::is_enabled() ||
      !(wants(hidden_nd) || wants(head) || wants(added.inner_nr) || wants(added.outer_vr) || wants(added.columns_nk)))
    return run({hidden_nd, head, added.inner_nr, added.outer_vr, added.columns_nk, added.ids_k}, labels_n,
               {o, smoothing}, {})
        .loss_n.neg_();
  const auto some = [](const at::Tensor& t) { return t.defined() ? std::optional(t) : std::nullopt; };
  return TokenScoresFunction::apply(hidden_nd, head, labels_n, some(added.inner_nr), some(added.outer_vr),
                                    some(added.columns_nk), some(added.ids_k), o.chunk, o.even_gradient,
                                    reinterpret_cast<int64_t>(o.group), o.first_token, smoothing.label_smoothing,
                                    smoothing.z_loss, o.logits.multiplier, o.logits.cap)[0];
}

}  // namespace antiphon::nn
