#include <antiphon/component/update_rule.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <set>

#include "network.h"

namespace antiphon::apps::conformance {
namespace {

const std::vector<std::vector<int64_t>> shapes{{6, 4}, {4, 6}, {5}, {3, 2, 2}};

// Parameters with their state.
struct Updated {
  std::vector<UpdateItem> items;
  explicit Updated(const UpdateRule& rule) {
    for (size_t i = 0; i < shapes.size(); ++i) {
      items.push_back({made(shapes[i], 71 + i), {}, {}});
      for (const auto& [name, tensor] : rule.make_state(items.back().parameter)) items.back().state.push_back(tensor);
    }
  }
  void step(UpdateRule& rule, uint64_t seed, double lr = 0.01, double decay = 0) {
    for (size_t i = 0; i < items.size(); ++i) items[i].gradient = made(shapes[i], 100 * seed + i);
    rule.update(items, lr, decay);
  }
};

void state_is_its_own(const UpdateRule& rule) {
  for (const auto& shape : shapes) {
    const auto parameter = made(shape, 70);
    std::set<std::string> names;
    for (const auto& [name, tensor] : rule.make_state(parameter)) {
      expect(!name.empty() && names.insert(name).second, "expected names of their own, got '{}'", name);
      expect(!tensor.requires_grad(), "expected '{}' without a gradient", name);
      expect(tensor.data_ptr() != parameter.data_ptr(), "expected '{}' beside the parameter, got its memory", name);
    }
    const auto meta = rule.make_state(parameter.to(at::kMeta));
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
  for (size_t i = 0; i < shapes.size(); ++i)
    expect(at::equal(updated.items[i].parameter, untouched.items[i].parameter), "expected no change at a rate of 0");
}

// All that is remembered is in the state, so that a run goes on from a checkpoint.
void goes_on(UpdateRule& rule) {
  Updated whole(rule), cut(rule);
  for (const uint64_t seed : {1, 2, 3}) whole.step(rule, seed);
  cut.step(rule, 1);
  Updated other(rule);
  for (size_t i = 0; i < shapes.size(); ++i) {
    other.items[i].parameter = cut.items[i].parameter.clone();
    for (size_t j = 0; j < cut.items[i].state.size(); ++j) other.items[i].state[j].copy_(cut.items[i].state[j]);
  }
  for (const uint64_t seed : {2, 3}) other.step(rule, seed);
  for (size_t i = 0; i < shapes.size(); ++i)
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

void check_update_rule(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<UpdateRule>(subject))) return;
  const auto rule = build<UpdateRule>(subject);
  c10::AutoGradMode no_grad(false);
  report.check("state: named, its own, on the meta device too", [&] { state_is_its_own(*rule); });
  report.check("state: holds all that is remembered", [&] { goes_on(*rule); });
  report.check("update: goes down a slope", [&] { goes_down(*rule); });
  report.check("update: a rate of 0 changes nothing", [&] { rate_zero_is_still(*rule); });
  report.check("update: weight decay is decoupled", [&] { decay_shrinks(*rule); });
}

const KindChecks registered{KindOf<UpdateRule>::name, check_update_rule};

}  // namespace
}  // namespace antiphon::apps::conformance
