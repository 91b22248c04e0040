#include <antiphon/component/update_rule.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <set>

#include "network.h"

namespace antiphon::apps::conformance {
namespace {

struct Declared {
  std::vector<int64_t> shape;
  Role role;
};
const std::vector<Declared> all_declared{{{6, 4}, Role::matrix},    {{4, 6}, Role::matrix}, {{5}, Role::vector},
                                         {{8, 3}, Role::embedding}, {{4, 1}, Role::vector}, {{3, 2, 2}, Role::filter}};

UpdateItem item_of(const UpdateRule& rule, at::Tensor value, Role role) {
  UpdateItem item{std::move(value), {}, {}, role, "parameter"};
  for (const auto& [name, tensor] : rule.make_state({"parameter", &item.parameter, Init::zeros, role}))
    item.state.push_back(tensor);
  return item;
}

// Parameters with their state.
struct Updated {
  std::vector<UpdateItem> items;
  explicit Updated(const UpdateRule& rule) {
    for (size_t i = 0; i < all_declared.size(); ++i)
      items.push_back(item_of(rule, made(all_declared[i].shape, 71 + i), all_declared[i].role));
  }
  void step(UpdateRule& rule, uint64_t seed, double lr = 0.01, double decay = 0) {
    for (size_t i = 0; i < items.size(); ++i) items[i].gradient = made(all_declared[i].shape, 100 * seed + i);
    rule.update(items, lr, decay);
  }
};

void state_is_its_own(const UpdateRule& rule) {
  for (const auto& [shape, role] : all_declared) {
    auto parameter = made(shape, 70);
    std::set<std::string> names;
    for (const auto& [name, tensor] : rule.make_state({"parameter", &parameter, Init::zeros, role})) {
      expect(!name.empty() && names.insert(name).second, "expected names of their own, got '{}'", name);
      expect(!tensor.requires_grad(), "expected '{}' without a gradient", name);
      expect(tensor.data_ptr() != parameter.data_ptr(), "expected '{}' beside the parameter, got its memory", name);
    }
    parameter = parameter.to(at::kMeta);
    const auto meta = rule.make_state({"parameter", &parameter, Init::zeros, role});
    expect(meta.size() == names.size() && std::ranges::all_of(meta, [](const auto& s) { return s.second.is_meta(); }),
           "expected the same state on the meta device, for estimates of memory");
  }
}

// A step against the gradient makes a loss smaller whose gradient it is: x² / 2 for each value.
void goes_down(UpdateRule& rule) {
  Updated updated(rule);
  const auto loss = [&] {
    double sum = 0;
    for (const auto& item : updated.items) sum += item.parameter.square().sum().item<double>();
    return sum;
  };
  const double before = loss();
  for (int i = 0; i < 5; ++i) {
    for (auto& item : updated.items) item.gradient = item.parameter.clone();
    rule.update(updated.items, 0.01, 0);
  }
  expect(loss() < before, "expected a smaller loss after 5 steps, got {:.6g} of {:.6g}", loss(), before);
}

void rate_zero_is_still(UpdateRule& rule) {
  Updated updated(rule), untouched(rule);
  updated.step(rule, 1, 0, 0.1);
  for (size_t i = 0; i < all_declared.size(); ++i)
    expect(at::equal(updated.items[i].parameter, untouched.items[i].parameter), "expected no change at a rate of 0");
}

// All that is remembered is in the state, so that a run goes on from a checkpoint.
void goes_on(UpdateRule& rule) {
  Updated whole(rule), cut(rule);
  for (const uint64_t seed : {1, 2, 3}) whole.step(rule, seed);
  cut.step(rule, 1);
  Updated other(rule);
  for (size_t i = 0; i < all_declared.size(); ++i) {
    other.items[i].parameter = cut.items[i].parameter.clone();
    for (size_t j = 0; j < cut.items[i].state.size(); ++j) other.items[i].state[j].copy_(cut.items[i].state[j]);
  }
  for (const uint64_t seed : {2, 3}) other.step(rule, seed);
  for (size_t i = 0; i < all_declared.size(); ++i)
    expect(at::equal(other.items[i].parameter, whole.items[i].parameter),
           "expected the same bits from a state that was saved and read");
}

void decay_shrinks(UpdateRule& rule) {
  Updated with(rule), without(rule);
  with.step(rule, 1, 0.01, 0.5), without.step(rule, 1, 0.01, 0);
  const auto start = Updated(rule).items[0].parameter;
  expect_close(with.items[0].parameter, without.items[0].parameter - start * (0.01 * 0.5), 1e-5,
               "a matrix with decoupled weight decay");
}

// What a module declares counts, not the shape: a vector that is kept as a column is still one.
void vectors_have_no_shape(UpdateRule& rule) {
  const auto start = made({6}, 75), gradient = made({6}, 76);
  std::vector<UpdateItem> items{item_of(rule, start.clone(), Role::vector),
                                item_of(rule, start.clone().view({6, 1}), Role::vector),
                                item_of(rule, start.clone().view({2, 3}), Role::vector)};
  for (auto& item : items) item.gradient = gradient.clone().view(item.parameter.sizes());
  rule.update(items, 0.01, 0);
  for (const auto& item : items)
    expect_close(item.parameter.flatten(), items.front().parameter, 1e-6, "a vector kept in another shape");
}

// Rows of a parameter beside the whole, with states of their own: what processes do that each hold a piece.
void pieces_are_alike(UpdateRule& rule) {
  Updated whole(rule);
  std::vector<std::vector<UpdateItem>> pieces;
  for (const auto& item : whole.items) {
    auto& own = pieces.emplace_back();
    for (const auto& [begin, end] : {std::pair{0, 1}, {1, 99}})
      own.push_back(item_of(rule, item.parameter.slice(0, begin, end).clone(), item.role));
    for (const auto& state : item.state)
      expect(state.dim() == 0 || state.sizes() == item.parameter.sizes(), "expected states of the parameter's shape");
  }
  for (const uint64_t seed : {1, 2, 3}) {
    whole.step(rule, seed, 0.01, 0.1);
    for (size_t i = 0; i < pieces.size(); ++i) {
      const auto gradient = made(all_declared[i].shape, 100 * seed + i);
      pieces[i][0].gradient = gradient.slice(0, 0, 1).clone(), pieces[i][1].gradient = gradient.slice(0, 1).clone();
      rule.update({pieces[i][0], pieces[i][1]}, 0.01, 0.1);
    }
  }
  for (size_t i = 0; i < pieces.size(); ++i)
    expect_close(at::cat({pieces[i][0].parameter, pieces[i][1].parameter}), whole.items[i].parameter, 1e-6,
                 "a parameter that is updated in pieces");
}

void check_update_rule(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<UpdateRule>(subject))) return;
  const auto rule = build<UpdateRule>(subject);
  c10::AutoGradMode no_grad(false);
  report.check("state: named, its own, on the meta device too", [&] { state_is_its_own(*rule); });
  report.check("state: holds all that is remembered", [&] { goes_on(*rule); });
  report.check("update: goes down a slope", [&] { goes_down(*rule); });
  report.check("update: a rate of 0 changes nothing", [&] { rate_zero_is_still(*rule); });
  report.check("update: a vector is one in any shape", [&] { vectors_have_no_shape(*rule); });
  report.check("update: weight decay is decoupled", [&] { decay_shrinks(*rule); });
  if (rule->elementwise())
    report.check("update: elementwise, so pieces are updated as the whole", [&] { pieces_are_alike(*rule); });
}

const KindChecks registered{KindOf<UpdateRule>::name, check_update_rule};

}  // namespace
}  // namespace antiphon::apps::conformance
