#include <antiphon/component/head.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "network.h"

namespace antiphon::apps::conformance {
namespace {

constexpr HeadShape shape{24};

at::Tensor hidden() { return made({5, shape.hidden_size}, 41); }

void shapes_hold(Head& head) {
  c10::AutoGradMode no_grad(false);
  expect(head.outputs() >= 1, "expected one number at least, got {}", head.outputs());
  for (const int64_t n : {1, 5})
    expect_shape(head.forward(hidden().narrow(0, 0, n)), {n, head.outputs()}, "numbers [tokens, outputs()]");
}

void rows_are_alone(Head& head) {
  c10::AutoGradMode no_grad(false);
  const auto x = hidden(), together = head.forward(x);
  for (int64_t i = 0; i < x.size(0); ++i)
    expect_close(together.narrow(0, i, 1), head.forward(x.narrow(0, i, 1)), 1e-5,
                 fmt::format("token {} among others against alone", i));
}

void passes_gradient(Head& head) {
  const auto x = hidden().requires_grad_(true);
  head.forward(x).sum().backward();
  expect_gradient(x, "the hidden states, so that what is below can be trained");
}

void check_head(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<Head>(subject, shape))) return;
  const auto head = build<Head>(subject, shape);
  if (!check_size(report, subject, head->module())) return;
  start(head->module(), 1);
  if (!report.check("shapes: outputs() numbers for each token", [&] { shapes_hold(*head); })) return;
  report.check("forward: tokens do not depend on each other", [&] { rows_are_alone(*head); });
  report.check("gradient: reaches the input", [&] { passes_gradient(*head); });
  const MakeNetwork make = [&]() -> Network {
    std::shared_ptr<Head> fresh = build<Head>(subject, shape);
    Head* used = fresh.get();
    return {fresh, &fresh->module(), [used](at::ScalarType type) { return used->forward(hidden().to(type)); }};
  };
  check_network(report, make);
  check_name_map(report, make, head->name_map());
}

const KindChecks registered{KindOf<Head>::name, check_head};

}  // namespace
}  // namespace antiphon::apps::conformance
