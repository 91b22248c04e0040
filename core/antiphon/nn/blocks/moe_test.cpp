#include <antiphon/nn/blocks/moe.h>

#include <torch/csrc/autograd/autograd.h>

#include <antiphon/base/error.h>
#include <antiphon/component/auxiliary_losses.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/nn/testing.h>

#include <algorithm>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

constexpr int64_t kHidden = 8, kExperts = 4;

std::unique_ptr<MixtureOfExperts> made(int64_t top_k = 2) {
  auto layer = std::make_unique<MixtureOfExperts>(kHidden, "silu", MoeOptions{kExperts, top_k, 6});
  layer->initialize(3, at::kCPU);
  for (auto& parameter : layer->parameters()) parameter.tensor->mul_(10);
  layer->set_requires_grad(true);
  return layer;
}

at::Tensor numbers(int64_t tokens) {
  at::manual_seed(1);
  return at::randn({tokens, kHidden});
}

at::Tensor gradient(MixtureOfExperts& layer, const std::string& name) {
  for (const auto& parameter : layer.parameters())
    if (parameter.name == name) return parameter.tensor->grad();
  return {};
}

}  // namespace

TEST_CASE("experts: a token's result does not depend on the others", "[moe]") {
  const auto layer = made();
  const at::NoGradGuard guard;
  const auto x = numbers(7), all = layer->forward(x, 0, nullptr);
  for (int64_t i = 0; i < 7; ++i)
    CHECK(relative_error(layer->forward(x.narrow(0, i, 1), 0, nullptr), all.narrow(0, i, 1)) < 1e-6);
}

TEST_CASE("experts: padding goes nowhere, gives zeros and does not count for the balance", "[moe]") {
  const auto layer = made();
  const auto x = numbers(9);
  const auto losses = [] { return std::make_shared<RouterLosses>(RouterLossOptions{kExperts, 1, 1}, 1, 6); };
  const auto all = losses(), shorter = losses();
  const auto y = layer->forward(x, 3, all), of_six = layer->forward(x.narrow(0, 0, 6), 0, shorter);
  CHECK(at::equal(y.narrow(0, 0, 6), of_six));
  CHECK(y.narrow(0, 6, 3).count_nonzero().item<int64_t>() == 0);
  CHECK(at::equal(all->counted({}), shorter->counted({})));
  CHECK(layer->forward(x, 9, nullptr).count_nonzero().item<int64_t>() == 0);
}

TEST_CASE("experts: one without tokens gets a gradient of zeros while training", "[moe]") {
  const auto layer = made(1);
  torch::autograd::backward({layer->forward(numbers(1), 0, nullptr).sum()}, {});
  int used = 0;
  for (int64_t i = 0; i < kExperts; ++i) {
    const auto grad = gradient(*layer, "experts." + std::to_string(i) + ".up_proj.weight");
    REQUIRE(grad.defined());
    used += grad.count_nonzero().item<int64_t>() > 0;
  }
  CHECK(used == 1);
}

TEST_CASE("experts: the balance of evenly chosen experts is the number of them that a token has", "[moe]") {
  const auto y = at::zeros({2, kHidden}).set_requires_grad(true);
  const auto even = std::make_shared<LoadBalance>(kExperts, 1);
  even->attached(y, at::full({2, kExperts}, 1.0 / kExperts), at::ones({kExperts}, at::kLong), true);
  CHECK(std::abs(even->value() - 2) < 1e-6);  // 4 assignments of 2 tokens
  even->attached(y, at::full({2, kExperts}, 7.0), at::ones({kExperts}, at::kLong), /*count=*/false);
  CHECK(std::abs(even->value() - 2) < 1e-6);
}

TEST_CASE("experts: more for a token than there are is an error", "[moe]") {
  CHECK_THROWS_AS(MixtureOfExperts(kHidden, "silu", MoeOptions{2, 3, 6}), Error);
  CHECK_THROWS_AS(MixtureOfExperts(kHidden, "silu", MoeOptions{2, 0, 6}), Error);
}

TEST_CASE("experts: the router z-loss is the mean square of logsumexp over tokens, added up over layers", "[moe]") {
  const auto layer = made();
  const auto x = numbers(5).set_requires_grad(true);
  const auto losses = std::make_shared<RouterLosses>(RouterLossOptions{kExperts, 0, 0.3}, 0.5, 5);
  const auto grad_of = [&](const at::Tensor& loss) { return torch::autograd::grad({loss}, {x}).front(); };
  const auto added = grad_of(layer->forward(x, 0, losses).sum() * 0);
  at::Tensor gate;
  for (const auto& parameter : layer->parameters())
    if (parameter.name == "gate.weight") gate = *parameter.tensor;
  const auto mean = at::logsumexp(x.mm(gate.t()), -1).square().mean();
  CHECK(relative_error(added, grad_of(mean) * 0.3 * 0.5) < 1e-5);
  layer->forward(x, 0, losses);  // a second layer, with the same router
  AuxiliaryLosses told(0.5);
  losses->tell(told);
  CHECK(told.terms().at("router_z").coefficient == 0.3);
  CHECK(std::abs(told.terms().at("router_z").value - 2 * mean.item<double>()) < 1e-5 * mean.item<double>());
}

namespace {

// By the definition: each expert goes through the choices in its order, and keeps the first.
at::Tensor kept_one_by_one(const at::Tensor& chosen, const at::Tensor& weights, int64_t capacity, bool by_weight) {
  const auto kept = at::zeros(chosen.sizes(), at::kBool);
  for (int64_t expert = 0; expert < kExperts; ++expert) {
    std::vector<std::pair<double, int64_t>> choices;  // order, place
    for (int64_t i = 0; i < chosen.numel(); ++i)
      if (chosen.view(-1)[i].item<int64_t>() == expert)
        choices.emplace_back(by_weight ? -weights.view(-1)[i].item<double>() : 0, i);
    std::ranges::stable_sort(choices, {}, &std::pair<double, int64_t>::first);
    for (size_t i = 0; i < choices.size() && static_cast<int64_t>(i) < capacity; ++i)
      kept.view(-1)[choices[i].second] = true;
  }
  return kept;
}

}  // namespace

TEST_CASE("experts: a capacity keeps what weighs most, or comes first", "[moe]") {
  at::manual_seed(5);
  const auto probabilities = at::softmax(at::randn({30, kExperts}), -1);
  const auto [weights, chosen] = at::topk(probabilities, 2, -1);
  for (const bool by_weight : {true, false}) {
    const auto kept = within_capacity(chosen, weights, kExperts, {0.8, by_weight}, nullptr);  // 12 of 15 on average
    CHECK(at::equal(kept, kept_one_by_one(chosen, weights, 12, by_weight)));
    CHECK(kept.sum().item<int64_t>() < 60);
  }
  CHECK(within_capacity(chosen, weights, kExperts, {kExperts, true}, nullptr).all().item<bool>());
}

TEST_CASE("experts: what exceeds the capacity of an expert passes it by, in training alone", "[moe]") {
  MoeOptions options{kExperts, 2, 6};
  options.capacity = {0.5, true};
  MixtureOfExperts limited(kHidden, "silu", options);
  limited.initialize(3, at::kCPU);
  for (auto& parameter : limited.parameters()) parameter.tensor->mul_(10);
  const auto layer = made();
  const auto x = numbers(16);
  CHECK(at::equal(limited.forward(x, 0, nullptr), layer->forward(x, 0, nullptr)));
  const TrainingPass training(true, false, 1);
  const auto losses = std::make_shared<RouterLosses>(RouterLossOptions{kExperts, 1, 0, true}, 1, 16);
  const auto y = limited.forward(x, 0, losses);
  CHECK(y.isfinite().all().item<bool>());
  AuxiliaryLosses told(1);
  losses->tell(told);
  const double dropped = told.terms().at("dropped").value;
  CHECK(dropped > 0.3);  // of 32 choices 4 experts keep 4 each at most
  CHECK(told.terms().at("load_balance").value > 0);
  options.capacity = {2 * kExperts, true};
  MixtureOfExperts wide(kHidden, "silu", options);
  wide.initialize(3, at::kCPU);
  for (auto& parameter : wide.parameters()) parameter.tensor->mul_(10);
  CHECK(at::equal(wide.forward(x, 0, nullptr), layer->forward(x, 0, nullptr)));
}
