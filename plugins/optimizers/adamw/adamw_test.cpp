#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/train/optimizer.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include "adamw.h"

using namespace antiphon;
using namespace antiphon::train;
using Catch::Approx;

namespace {

struct Model {
  at::Tensor w = at::tensor({1.0f, -2.0f, 0.5f, 3.0f}).view({2, 2}).set_requires_grad(true);
  at::Tensor b = at::tensor({0.25f, -0.75f}).set_requires_grad(true);
  std::vector<Parameter> parameters() { return {{"llm/w", &w}, {"connector/b", &b, Init::zeros, Role::vector}}; }
  // The gradients of update t of the fixed sequence.
  void give(int t) {
    const auto f = static_cast<float>(t);
    w.mutable_grad() = at::tensor({0.1f * (f + 1), -0.2f, 0.3f, 0.05f * f}).view({2, 2});
    b.mutable_grad() = at::tensor({1.0f - 0.3f * f, 0.5f});
  }
};

TrainOptions options_with(double weight_decay) {
  TrainOptions options;
  options.optimizer.lr = 0.1, options.optimizer.weight_decay = weight_decay;
  return options;
}

adamw::AdamW rule({.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8});

void check_values(const at::Tensor& got, const std::vector<double>& expected) {
  const auto flat = got.detach().flatten();
  REQUIRE(flat.numel() == static_cast<int64_t>(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i)
    CHECK(flat[static_cast<int64_t>(i)].item<double>() == Approx(expected[i]).epsilon(2e-6));
}

void run(Model& model, Optimizer& optimizer, int begin, int end, double clip) {
  for (int t = begin; t < end; ++t) {
    model.give(t);
    optimizer.clip(clip);
    optimizer.step(t == 3 ? 0.5 : 1.0);
  }
}

checkpoint::StoredTensors copied(Optimizer& optimizer) {
  checkpoint::StoredTensors state;
  for (const auto& [value, of] : optimizer.state()) state[value.name] = value.tensor->clone();
  return state;
}

}  // namespace

// torch 2.11: torch.optim.AdamW over the same sequence, weight decay on the matrix only, the rate halved at t = 3,
// torch.nn.utils.clip_grad_norm_ before each step.
TEST_CASE("AdamW: five steps are those of torch.optim.AdamW") {
  struct Case {
    double weight_decay, clip;
    std::vector<double> w, b;
  };
  const std::vector<Case> cases{{0.1, 0, {0.52751464, -1.4695164, 0.035826862, 2.5811071}, {-0.13748828, -1.2}},
                                {0.1, 0.5, {0.53658366, -1.4689599, 0.03527049, 2.5840642}, {-0.14830293, -1.200557}},
                                {0.0, 0, {0.5639689, -1.55, 0.050000012, 2.7102187}, {-0.13748828, -1.2}}};
  for (const auto& c : cases) {
    Model model;
    Optimizer optimizer(model.parameters(), options_with(c.weight_decay), rule);
    run(model, optimizer, 0, 5, c.clip);
    check_values(model.w, c.w);
    check_values(model.b, c.b);
    CHECK_FALSE(model.w.grad().defined());
  }
}

TEST_CASE("an update raises the version of what it writes, whatever operations the rule uses") {
  Model model;
  Optimizer optimizer(model.parameters(), options_with(0), rule);
  const auto before = model.w._version();
  model.give(1);
  optimizer.step(1.0);
  CHECK(model.w._version() > before);
}

TEST_CASE("clipping gives the norm before, and leaves a small gradient alone") {
  Model model;
  Optimizer optimizer(model.parameters(), options_with(0), rule);
  model.give(4);
  CHECK(optimizer.clip(0) == Approx(0.84261495));
  CHECK(optimizer.clip(10) == Approx(0.84261495));
  CHECK(optimizer.clip(0.5) == Approx(0.84261495));
  CHECK(optimizer.clip(0) == Approx(0.5).epsilon(1e-4));
  model.w.mutable_grad()[0][0] = INFINITY;
  CHECK_FALSE(std::isfinite(optimizer.clip(1)));
  optimizer.drop_gradients();
  CHECK(optimizer.clip(1) == 0);
}

TEST_CASE("a restored optimizer goes on bit for bit") {
  Model straight, first, second;
  Optimizer whole(straight.parameters(), options_with(0.1), rule), before(first.parameters(), options_with(0.1), rule),
      after(second.parameters(), options_with(0.1), rule);
  run(straight, whole, 0, 5, 0.5);
  run(first, before, 0, 2, 0.5);
  after.restore(copied(before));
  second.w = first.w.detach().clone().set_requires_grad(true);
  second.b = first.b.detach().clone().set_requires_grad(true);
  run(second, after, 2, 5, 0.5);
  CHECK(at::equal(second.w, straight.w));
  CHECK(at::equal(second.b, straight.b));
  auto state = copied(before);
  state.erase("llm/w#exp_avg");
  CHECK_THROWS_AS(after.restore(state), Error);
  state = copied(before);
  state["connector/b#exp_avg_sq"] = at::zeros({3});
  CHECK_THROWS_AS(after.restore(state), Error);
}

TEST_CASE("groups: the first match counts, others keep the default, a group without a match is an error") {
  auto options = options_with(0.1);
  options.groups = {{.match = "connector/*", .lr = 0.01, .weight_decay = 0.5},
                    {.match = "*", .lr = 1000, .weight_decay = 0}};
  Model model, plain;
  Optimizer optimizer(model.parameters(), options, rule);
  model.give(0);
  optimizer.step(1);
  CHECK(model.b[0].item<double>() == Approx(0.25 * (1 - 0.01 * 0.5) - 0.01).epsilon(1e-5));
  CHECK(model.w[0][0].item<double>() == Approx(1 - 1000));
  options.groups = {{.match = "streams.*", .lr = 1, .weight_decay = 0}};
  CHECK_THROWS_AS(Optimizer(plain.parameters(), options, rule), Error);
  CHECK_THROWS_AS(Optimizer({}, options_with(0), rule), Error);
}

TEST_CASE("a parameter without a gradient is left alone") {
  Model model;
  Optimizer optimizer(model.parameters(), options_with(0.1), rule);
  model.give(0);
  model.w.mutable_grad().reset();
  optimizer.step(1);
  check_values(model.w, {1, -2, 0.5, 3});
  CHECK(model.b[0].item<double>() == Approx(0.15));
}

TEST_CASE("weight decay: by what a parameter is declared to be, not by its shape") {
  const auto make = [] { return at::full({2, 1}, 2.0).set_requires_grad(true); };
  auto matrix = make(), vector = make(), embedding = make();
  Optimizer optimizer({{"matrix", &matrix, Init::zeros, Role::matrix},
                       {"vector", &vector, Init::zeros, Role::vector},
                       {"embedding", &embedding, Init::zeros, Role::embedding}},
                      options_with(0.5), rule);
  for (auto* parameter : {&matrix, &vector, &embedding}) parameter->mutable_grad() = at::zeros({2, 1});
  optimizer.step(1);
  check_values(matrix, {1.9, 1.9});
  check_values(vector, {2, 2});
  check_values(embedding, {1.9, 1.9});
}
