#include <antiphon/parallel/separate_gradients.h>
#include <antiphon/train/optimizer.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <antiphon/base/error.h>

#include <map>

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

TEST_CASE(
    "groups: the first that matches counts, with a decay of its own or the optimizer's, which vectors do not have") {
  class Noted : public NoRule {
   public:
    void update(const std::vector<antiphon::UpdateItem>& items, double lr, double decay) override {
      for (const auto& item : items) said[std::string(item.name)] = {lr, decay};
    }
    std::map<std::string, std::pair<double, double>> said;
  };
  std::map<std::string, at::Tensor> tensors;
  std::vector<antiphon::Parameter> parameters;
  for (const auto* name : {"llm/a", "llm/b", "head/a", "rest/a"})
    for (const auto role : {antiphon::Role::matrix, antiphon::Role::vector}) {
      const auto full = name + std::string(role == antiphon::Role::vector ? ".bias" : ".weight");
      auto& tensor = tensors[full] = at::ones({1}).set_requires_grad(true);
      tensor.mutable_grad() = at::ones({1});
      parameters.push_back({full, &tensor});
      parameters.back().role = role;
    }
  Noted rule;
  TrainOptions options;
  options.optimizer.lr = 1, options.optimizer.weight_decay = 0.5;
  options.groups = {{"llm/b*", 2, {}}, {"llm/*", 3, 0.25}, {"head/*", 4, 0.0}};
  Optimizer(parameters, options, rule).step(1);
  using Said = std::map<std::string, std::pair<double, double>>;
  CHECK(rule.said == Said{{"llm/a.weight", {3, 0.25}},
                          {"llm/a.bias", {3, 0.25}},
                          {"llm/b.weight", {2, 0.5}},
                          {"llm/b.bias", {2, 0}},
                          {"head/a.weight", {4, 0}},
                          {"head/a.bias", {4, 0}},
                          {"rest/a.weight", {1, 0.5}},
                          {"rest/a.bias", {1, 0}}});
  options.groups = {{"nothing*", 1, {}}};
  CHECK_THROWS_AS(Optimizer(parameters, options, rule), antiphon::Error);
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
