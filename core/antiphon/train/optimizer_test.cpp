#include <antiphon/parallel/separate_gradients.h>
#include <antiphon/train/optimizer.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon::train;
using Catch::Approx;

namespace {

class NoRule : public antiphon::UpdateRule {
 public:
  std::vector<std::pair<std::string, at::Tensor>> make_state(const antiphon::Parameter&) const override { return {}; }
  void update(const std::vector<antiphon::UpdateItem>&, double, double) override {}
};

}  // namespace

TEST_CASE("gradients that LibTorch lets share memory are added and clipped once") {
  auto token = at::ones({1, 1, 4}).set_requires_grad(true), positions = at::ones({1, 3, 4}).set_requires_grad(true);
  const std::vector<antiphon::Parameter> parameters{{"token", &token}, {"positions", &positions}};
  NoRule rule;
  TrainOptions options;
  Optimizer optimizer(parameters, options, rule);
  for (int pass = 0; pass < 2; ++pass) {  // a single picture: its class token and patches, then the positions
    const auto first = token.view({1, 1, 4}).expand({1, 1, 4});
    const auto x = at::cat({first, at::ones({1, 2, 4})}, 1) + positions.view({1, -1, 4});
    torch::autograd::backward({(x * 3).sum()}, {});
    antiphon::parallel::separate_gradients(parameters);
  }
  CHECK(at::equal(token.grad(), at::full({1, 1, 4}, 6.0)));
  CHECK(at::equal(positions.grad(), at::full({1, 3, 4}, 6.0)));
  const double norm = optimizer.clip(1);
  CHECK(norm == Approx(6 * std::sqrt(16.0)));
  CHECK(at::cat({token.grad().view(-1), positions.grad().view(-1)}).norm().item<double>() == Approx(1));
}

TEST_CASE("learning rate: a linear rise, then a half cosine or nothing") {
  const ScheduleOptions cosine{.name = "cosine", .warmup_steps = 4, .min_ratio = 0.1};
  CHECK(lr_ratio(cosine, 0, 20) == Approx(0.25));
  CHECK(lr_ratio(cosine, 3, 20) == Approx(1));
  CHECK(lr_ratio(cosine, 4, 20) == Approx(1));
  CHECK(lr_ratio(cosine, 12, 20) == Approx(0.55));
  CHECK(lr_ratio(cosine, 20, 20) == Approx(0.1));
  CHECK(lr_ratio(cosine, 1000, 20) == Approx(0.1));
  for (int64_t step = 4; step < 20; ++step) CHECK(lr_ratio(cosine, step + 1, 20) < lr_ratio(cosine, step, 20));
  const ScheduleOptions constant{.name = "constant", .warmup_steps = 2};
  CHECK(lr_ratio(constant, 0, 20) == Approx(0.5));
  CHECK(lr_ratio(constant, 19, 20) == Approx(1));
  const ScheduleOptions long_rise{.name = "cosine", .warmup_steps = 50};  // longer than the run
  CHECK(lr_ratio(long_rise, 19, 20) == Approx(0.4));
  CHECK(lr_ratio(long_rise, 50, 20) == Approx(1));
}
