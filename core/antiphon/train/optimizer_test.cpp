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

TEST_CASE("a parameter stays at its largest value or below, in both formats, and comes back from there") {
  class Rise : public NoRule {
   public:
    void update(const std::vector<antiphon::UpdateItem>& items, double lr, double) override {
      for (const auto& item : items) item.parameter.sub_(item.gradient, lr);
    }
  };
  for (const auto format : {at::kFloat, at::kBFloat16}) {
    auto scale = at::full({1}, 4.5, format).set_requires_grad(true),
         free = scale.detach().clone().set_requires_grad(true);
    antiphon::Parameter bounded{"scale", &scale};
    bounded.most = 4.625;
    Rise rule;
    TrainOptions options;
    options.optimizer.lr = 1;
    Optimizer optimizer({bounded, {"free", &free}}, options, rule);
    const auto step = [&](double gradient) {
      for (auto* tensor : {&scale, &free}) tensor->mutable_grad() = at::full({1}, gradient, format);
      optimizer.step(1);
    };
    step(-1);
    CHECK(scale.item<double>() == 4.625);
    CHECK(free.item<double>() == 5.5);
    step(0.5);
    CHECK(scale.item<double>() == 4.125);
  }
}
