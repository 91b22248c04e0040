#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/component/loss.h>

#include "network.h"

namespace antiphon::apps::conformance {
namespace {

constexpr int64_t positions = 7, width = 12, vocabulary = 19;

LossInput made_input() {
  LossInput input;
  input.hidden_nd = made({positions, width}, 41);
  input.head_weight_vd = made({vocabulary, width}, 42);
  input.labels_n = (at::arange(positions, at::kLong) * 5 + 2).remainder(vocabulary);
  input.normalizer = positions;
  return input;
}

LossInput trained_input() {
  auto input = made_input();
  input.hidden_nd.requires_grad_(true), input.head_weight_vd.requires_grad_(true);
  return input;
}

at::Tensor plain(const LossInput& input) {
  return at::cross_entropy_loss(at::mm(input.hidden_nd, input.head_weight_vd.t()), input.labels_n, {},
                                at::Reduction::Sum) /
         input.normalizer;
}

void equals_plain(Loss& loss) {
  const auto ours = trained_input(), theirs = trained_input();
  const auto out = loss.forward(ours);
  out.loss.backward();
  const auto wanted = plain(theirs);
  wanted.backward();
  expect_close(out.loss, wanted, 1e-5, "the loss against at::cross_entropy_loss");
  expect_close(ours.hidden_nd.grad(), theirs.hidden_nd.grad(), 1e-5, "the gradient of the hidden states");
  expect_close(ours.head_weight_vd.grad(), theirs.head_weight_vd.grad(), 1e-5, "the gradient of the head");
}

void shapes_hold(Loss& loss) {
  const auto out = loss.forward(trained_input());
  expect_shape(out.loss, {}, "a scalar loss");
  expect_shape(out.token_loss_n, {positions}, "one loss a position");
  expect(out.loss.scalar_type() == at::kFloat && out.token_loss_n.scalar_type() == at::kFloat,
         "expected float32 losses, got {} and {}", at::toString(out.loss.scalar_type()),
         at::toString(out.token_loss_n.scalar_type()));
  expect(!out.token_loss_n.requires_grad(), "expected the losses of the positions detached, got a gradient on them");
  expect_close(out.token_loss_n.sum() / static_cast<double>(positions), out.loss.detach(), 1e-5,
               "the sum over the positions / normalizer against the loss");
}

void normalizer_divides(Loss& loss) {
  auto input = made_input();
  const auto once = loss.forward(input);
  input.normalizer *= 4;
  const auto again = loss.forward(input);
  expect_close(again.loss * 4.0, once.loss, 1e-5, "four times the loss at four times the normalizer");
  expect_close(again.token_loss_n, once.token_loss_n, 1e-5, "the losses of the positions at another normalizer");
}

// The sum over a batch is the sum over its pieces: what gradient accumulation relies on.
void pieces_add_up(Loss& loss) {
  const auto whole = made_input();
  auto piece = [&](int64_t begin, int64_t count) {
    auto input = whole;
    input.hidden_nd = whole.hidden_nd.narrow(0, begin, count), input.labels_n = whole.labels_n.narrow(0, begin, count);
    return loss.forward(input).loss;
  };
  expect_close(piece(0, 3) + piece(3, positions - 3), loss.forward(whole).loss, 1e-5,
               "3 positions and the rest against all");
}

void no_gradient_is_equal(Loss& loss) {
  const auto with = loss.forward(trained_input());
  c10::AutoGradMode no_grad(false);
  const auto without = loss.forward(made_input());
  expect(!without.loss.requires_grad(), "expected no gradient where none is asked for");
  expect_close(without.loss, with.loss.detach(), 1e-6, "the loss without a gradient");
  expect_close(without.token_loss_n, with.token_loss_n, 1e-6, "the losses of the positions without a gradient");
}

// Of the hidden states alone (a frozen head) and of both.
void gradient_is_right(Loss& loss) {
  for (const bool frozen_head : {true, false}) {
    auto input = made_input();
    input.hidden_nd.requires_grad_(true);
    input.head_weight_vd.requires_grad_(!frozen_head);
    loss.forward(input).loss.backward();
    expect(input.hidden_nd.grad().defined(), "expected a gradient of the hidden states, got none");
    expect(input.head_weight_vd.grad().defined() != frozen_head,
           "expected a gradient of the head exactly where it is trained");
    c10::AutoGradMode no_grad(false);
    const auto dh = made({positions, width}, 51), dw = made({vocabulary, width}, 52) * (frozen_head ? 0.0 : 1.0);
    double slope = (input.hidden_nd.grad() * dh).sum().item<double>();
    if (!frozen_head) slope += (input.head_weight_vd.grad() * dw).sum().item<double>();
    const auto at = [&](double by) {
      auto moved = input;
      moved.hidden_nd = input.hidden_nd + dh * by, moved.head_weight_vd = input.head_weight_vd + dw * by;
      return loss.forward(moved).loss.item<double>();
    };
    const double step = 2e-3, measured = (at(step) - at(-step)) / (2 * step);
    expect(std::abs(measured - slope) <= 0.02 * std::abs(slope) + 2e-3,
           "expected a slope of {:.5g} as autograd says, a finite difference gives {:.5g}", slope, measured);
  }
}

void runs_in_bf16(Loss& loss) {
  auto input = made_input();
  const auto wanted = loss.forward(input);
  input.hidden_nd = input.hidden_nd.to(at::kBFloat16).requires_grad_(true);
  input.head_weight_vd = input.head_weight_vd.to(at::kBFloat16);
  const auto out = loss.forward(input);
  out.loss.backward();
  expect(out.loss.scalar_type() == at::kFloat, "expected a float32 loss of bf16 hidden states, got {}",
         at::toString(out.loss.scalar_type()));
  expect_close(out.loss.detach(), wanted.loss, 0.05, "the loss in bf16");
  expect_finite(input.hidden_nd.grad(), "the gradient in bf16");
}

void empty_is_zero(Loss& loss) {
  auto input = made_input();
  input.hidden_nd = at::empty({0, width}), input.labels_n = at::empty({0}, at::kLong), input.normalizer = 1;
  const auto out = loss.forward(input);
  expect(out.loss.item<double>() == 0, "expected a loss of 0 over no position, got {}", out.loss.item<double>());
  expect_shape(out.token_loss_n, {0}, "no losses of positions");
}

void check_loss(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<Loss>(subject))) return;
  const auto loss = build<Loss>(subject);
  report.check("shapes: a scalar, and a detached loss for each position that sums to it", [&] { shapes_hold(*loss); });
  if (subject.entry.name == "cross_entropy")
    report.check("forward: equals LibTorch's cross entropy, and so do the gradients", [&] { equals_plain(*loss); });
  report.check("normalizer: divides the loss", [&] { normalizer_divides(*loss); });
  report.check("positions: pieces of a batch add up to it", [&] { pieces_add_up(*loss); });
  report.check("positions: none gives 0", [&] { empty_is_zero(*loss); });
  report.check("gradient: the path without one gives the same", [&] { no_gradient_is_equal(*loss); });
  report.check("gradient: agrees with a finite difference, head frozen and trained", [&] { gradient_is_right(*loss); });
  report.check("forward: bf16 runs and is near float32", [&] { runs_in_bf16(*loss); });
}

const KindChecks registered{KindOf<Loss>::name, check_loss};

}  // namespace
}  // namespace antiphon::apps::conformance
