#include <antiphon/component/objective.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <limits>

#include "network.h"

namespace antiphon::apps::conformance {
namespace {

constexpr int64_t groups = 3, pair_width = 5;

// As if the model had written them a while ago: one reward is not known, those of the second group are equal, and one
// sequence does not count.
void make_written(ObjectiveInput& input) {
  const auto candidates = static_cast<size_t>(input.groups.front()), last = input.counts.size() - 1;
  input.behaviour_n = input.logp_n + 0.3 * made(input.logp_n.sizes(), 66);
  const auto rewards = made({static_cast<int64_t>(input.counts.size())}, 67);
  for (size_t i = 0; i <= last; ++i)
    input.values[i] = i / candidates == 1 ? 1 : rewards[static_cast<int64_t>(i)].item<double>();
  input.values[candidates - 1] = std::numeric_limits<double>::quiet_NaN();
  input.weights[last] = 0, input.totals.tokens -= input.counts[last], input.totals.sequences -= 1;
}

// Sequences of 1 to 4 tokens.
ObjectiveInput made_input(const Objective& objective) {
  const auto needs = objective.needs();
  ObjectiveInput input;
  int64_t n = 0;
  for (int64_t g = 0; g < groups; ++g) {
    input.groups.push_back(needs.candidates);
    for (int64_t c = 0; c < needs.candidates; ++c) {
      input.counts.push_back(1 + (3 * g + c) % 4), n += input.counts.back();
      if (c == 0) input.totals.preferred_tokens += input.counts.back();
      input.weights.push_back(1), input.values.push_back(c == 0 ? 1 : 0);
    }
  }
  if (needs.scores > 0)
    input.scores_sk = made({groups * needs.candidates, needs.scores}, 64);
  else if (needs.pairs)
    input.scores_sk = made({groups, 2 * pair_width}, 65), input.own_sequences = groups;
  else
    input.logp_n = -made({n}, 61).abs() - 0.1;
  if (needs.reference) input.reference_n = -made({n}, 62).abs() - 0.1;
  input.totals.tokens = n, input.totals.groups = groups;
  input.totals.sequences = static_cast<int64_t>(input.counts.size());
  if (needs.written) make_written(input);
  return input;
}

// What the gradient goes to.
at::Tensor& read_of(ObjectiveInput& input) { return input.scores_sk.defined() ? input.scores_sk : input.logp_n; }

ObjectiveInput with_gradient(ObjectiveInput input) {
  auto& read = read_of(input);
  read = read.clone().set_requires_grad(true);
  return input;
}

// Groups [begin, end); the totals stay those of the step.
ObjectiveInput piece(const ObjectiveInput& whole, int64_t begin, int64_t end) {
  const auto of = [](const auto& list, int64_t from, int64_t to) {
    return std::decay_t<decltype(list)>(list.begin() + from, list.begin() + to);
  };
  const int64_t width = whole.groups.front(), first = begin * width, last = end * width;
  int64_t from = 0, n = 0;
  for (int64_t i = 0; i < last; ++i) (i < first ? from : n) += whole.counts[static_cast<size_t>(i)];
  auto out = whole;
  out.groups = of(whole.groups, begin, end), out.counts = of(whole.counts, first, last);
  out.weights = of(whole.weights, first, last), out.values = of(whole.values, first, last);
  if (whole.own_sequences > 0)
    out.first_own = first, out.own_sequences = last - first;  // of the whole step's rows
  else if (whole.scores_sk.defined())
    out.scores_sk = whole.scores_sk.narrow(0, first, last - first);
  if (whole.logp_n.defined()) out.logp_n = whole.logp_n.narrow(0, from, n);
  if (whole.reference_n.defined()) out.reference_n = whole.reference_n.narrow(0, from, n);
  if (whole.behaviour_n.defined()) out.behaviour_n = whole.behaviour_n.narrow(0, from, n);
  return out;
}

at::Tensor gradient_of(Objective& objective, const ObjectiveInput& made) {
  auto input = with_gradient(made);
  torch::autograd::backward({objective.forward(input).loss}, {});
  return read_of(input).grad();
}

void shapes_hold(Objective& objective) {
  const auto out = objective.forward(with_gradient(made_input(objective)));
  expect_shape(out.loss, {}, "a scalar loss");
  expect(out.loss.scalar_type() == at::kFloat, "expected a float32 loss, got {}", at::toString(out.loss.scalar_type()));
  expect(out.loss.requires_grad(), "expected a gradient on the loss, got none");
  for (const auto& metric : out.metrics) {
    expect(!metric.name.empty() && metric.count > 0, "expected a named metric of something, got '{}' of {}",
           metric.name, metric.count);
    expect(std::ranges::find(kRunMetrics, metric.name) == kRunMetrics.end(),
           "expected a name of its own; every run has a metric '{}'", metric.name);
    if (objective.needs().pairs)
      expect_shape(metric.sum, {groups}, "a metric of each own sequence");
    else
      expect_shape(metric.sum, {}, "the sum of a metric");
    expect(!metric.sum.requires_grad(), "expected the metric '{}' detached, got a gradient on it", metric.name);
  }
}

void gradient_is_right(Objective& objective) {
  auto input = made_input(objective);
  const auto direction = made(read_of(input).sizes().vec(), 63);
  const double slope = (gradient_of(objective, input) * direction).sum().item<double>();
  const auto at = [&](double by) {
    auto moved = input;
    read_of(moved) = read_of(input) + direction * by;
    return objective.forward(moved).loss.item<double>();
  };
  // A loss of ratios has bounds, at which its slope changes: none may lie between the two.
  const double step = objective.needs().written ? 1e-3 : 1e-2, measured = (at(step) - at(-step)) / (2 * step);
  expect(std::abs(measured - slope) <= 0.02 * std::abs(slope) + 1e-4,
         "expected a slope of {:.5g} as autograd says, a finite difference gives {:.5g}", slope, measured);
}

// What gradient accumulation and several processes rely on.
void pieces_add_up(Objective& objective) {
  const auto whole = made_input(objective);
  const auto loss = [&](int64_t begin, int64_t end) { return objective.forward(piece(whole, begin, end)).loss; };
  expect_close(loss(0, 1) + loss(1, groups), loss(0, groups), 1e-5, "one group and the rest against all");
}

void order_is_no_matter(Objective& objective) {
  const auto whole = made_input(objective);
  const auto loss = [&](int64_t g) { return objective.forward(piece(whole, g, g + 1)).loss; };
  expect_close(loss(2) + loss(0) + loss(1), objective.forward(whole).loss, 1e-5, "the groups in another order");
}

// Its rows have ended, while others have not: nothing is read and nothing was written.
void padding_is_nothing(Objective& objective) {
  if (objective.needs().pairs) return;
  auto none = piece(made_input(objective), 0, 0);
  none.behaviour_n = at::Tensor();
  const auto loss = objective.forward(with_gradient(none)).loss.item<double>();
  expect(loss == 0, "expected a loss of 0 of a batch without sequences, got {}", loss);
}

void weights_hold(Objective& objective) {
  if (!objective.needs().written) return;
  const auto input = made_input(objective);
  const auto gradients = gradient_of(objective, input).split_with_sizes(input.counts);
  for (size_t i = 0; i < gradients.size(); ++i)
    expect(input.weights[i] != 0 || !gradients[i].any().item<bool>(),
           "expected no gradient of a sequence whose weight is 0, got {}", gradients[i].abs().max().item<double>());
}

void evenness_holds(Objective& objective) {
  if (!objective.needs().even_gradient) return;
  const auto gradient = gradient_of(objective, made_input(objective));
  expect(gradient.eq(gradient[0]).all().item<bool>(), "expected one derivative for all tokens, as needs() says");
}

void check_objective(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<Objective>(subject))) return;
  const auto objective = build<Objective>(subject);
  report.check("shapes: a scalar loss with a gradient, named metrics without", [&] { shapes_hold(*objective); });
  report.check("gradient: agrees with a finite difference", [&] { gradient_is_right(*objective); });
  report.check("gradient: even, if needs() says so", [&] { evenness_holds(*objective); });
  report.check("groups: pieces of a step add up to it", [&] { pieces_add_up(*objective); });
  report.check("groups: their order does not matter", [&] { order_is_no_matter(*objective); });
  report.check("groups: a batch of padding alone adds nothing", [&] { padding_is_nothing(*objective); });
  report.check("weights: what does not count teaches nothing, if it is written", [&] { weights_hold(*objective); });
}

const KindChecks registered{KindOf<Objective>::name, check_objective};

}  // namespace
}  // namespace antiphon::apps::conformance
