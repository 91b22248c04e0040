#include <antiphon/nn/blocks/moe.h>

#include <torch/csrc/autograd/autograd.h>

#include <antiphon/base/error.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/nn/testing.h>

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
  const auto balance = std::make_shared<LoadBalance>(kExperts, 1), shorter = std::make_shared<LoadBalance>(kExperts, 1);
  const auto y = layer->forward(x, 3, balance), of_six = layer->forward(x.narrow(0, 0, 6), 0, shorter);
  CHECK(at::equal(y.narrow(0, 0, 6), of_six));
  CHECK(y.narrow(0, 6, 3).count_nonzero().item<int64_t>() == 0);
  CHECK(balance->value() == shorter->value());
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
