// Rounding by chance: unbiased, to a neighbour, the same however it is computed; and updates through it.
#include <antiphon/train/stochastic_rounding.h>

#include <ATen/ATen.h>

#include <antiphon/train/optimizer.h>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <limits>

using namespace antiphon;
using namespace antiphon::train;

namespace {

at::Tensor rounded(const at::Tensor& x, uint64_t key) {
  auto to = at::empty_like(x, x.options().dtype(at::kBFloat16));
  round_stochastically(x, to, key);
  return to;
}

at::Tensor values() {
  const auto x = at::sin(at::arange(40000, at::kFloat) * 12.9898);
  return x * at::exp2((at::arange(40000, at::kFloat) % 60) - 30);
}

// Gradient descent as it is written: p -= lr * g.
class Descent : public UpdateRule {
 public:
  std::vector<std::pair<std::string, at::Tensor>> make_state(const Parameter& parameter) const override {
    return {{"sum", at::zeros_like(*parameter.tensor).detach()}};
  }
  void update(const std::vector<UpdateItem>& items, double lr, double) override {
    for (const auto& item : items) item.state[0].add_(item.gradient), item.parameter.sub_(item.gradient, lr);
  }
};

}  // namespace

TEST_CASE("a value becomes one of its two neighbours, and in the mean it stays what it is") {
  const auto x = values();
  const auto down = x.view(at::kInt).bitwise_and(static_cast<int32_t>(0xFFFF0000)).view(at::kFloat);
  const auto up = (down.view(at::kInt) + 0x10000).view(at::kFloat);
  auto sum = at::zeros_like(x, at::kDouble);
  constexpr int kDraws = 400;
  for (int key = 0; key < kDraws; ++key) {
    const auto y = rounded(x, static_cast<uint64_t>(key)).to(at::kFloat);
    CHECK((y.eq(down) | y.eq(up)).all().item<bool>());
    sum += y;
  }
  // Each mean against the deviation of a draw between two neighbours, and the mean of all of these.
  const auto step = (up - down).to(at::kDouble), share = (x - down).to(at::kDouble) / step;
  const auto deviation = (share * (1 - share) / kDraws).sqrt();
  const auto off = (sum / kDraws - x) / step;
  CHECK((off.abs() - 6 * deviation - 1e-9).max().item<double>() < 0);
  CHECK(std::abs(off.mean().item<double>()) < 5 / std::sqrt(12.0 * kDraws * 40000));
}

TEST_CASE("what bfloat16 holds stays, and so does what is not finite") {
  const float inf = std::numeric_limits<float>::infinity();
  const auto exact = at::tensor({0.0F, -0.0F, 1.0F, -2.5F, inf, -inf, std::ldexp(1.0F, -126)});
  for (uint64_t key = 0; key < 50; ++key) CHECK(at::equal(rounded(exact, key).to(at::kFloat), exact));
  const auto other = rounded(at::tensor({std::nanf(""), 1.0F}), 3).to(at::kFloat);
  CHECK((std::isnan(other[0].item<float>()) && other[1].item<float>() == 1));
}

TEST_CASE("the same bits by a loop and by operations; others with another key, and at another place") {
  const auto x = at::cat({values(), at::full({3000000}, 1.0001F)}).view({-1, 40});
  auto by_operations = at::empty_like(x, x.options().dtype(at::kBFloat16));
  for (const uint64_t key : {uint64_t{7}, uint64_t{0xfedcba9876543210}}) {
    round_by_operations(x, by_operations, key);
    CHECK(at::equal(by_operations, rounded(x, key)));
  }
  CHECK_FALSE(at::equal(rounded(x, 7), rounded(x, 8)));
  auto strided = at::empty({40, x.size(0)}, by_operations.options()).t();
  round_stochastically(x, strided, 7);
  CHECK(at::equal(strided, rounded(x, 7)));
}

TEST_CASE("a part of a tensor becomes what it becomes within the whole") {
  const auto whole = values().view({40, 50, 20});
  const auto all = rounded(whole, 7);
  struct {
    std::vector<int64_t> begin, sizes;
  } const parts[] = {
      {{3, 0, 0}, {9, 50, 20}}, {{0, 11, 0}, {40, 13, 20}}, {{5, 2, 7}, {1, 40, 6}}, {{0, 0, 0}, {40, 50, 20}}};
  for (const auto& [begin, sizes] : parts) {
    auto part = whole, expected = all;
    for (size_t d = 0; d < begin.size(); ++d) {
      part = part.narrow(static_cast<int64_t>(d), begin[d], sizes[d]);
      expected = expected.narrow(static_cast<int64_t>(d), begin[d], sizes[d]);
    }
    const Box box{whole.sizes().vec(), begin};
    auto by_loop = at::empty(sizes, all.options()), by_operations = at::empty(sizes, all.options());
    round_stochastically(part, by_loop, 7, box);
    round_by_operations(part, by_operations, 7, box);
    CHECK(at::equal(by_loop, expected));
    CHECK(at::equal(by_operations, expected));
  }
}

TEST_CASE("an optimizer's updates of bfloat16 that are below a step of it arrive, and its state is in float32") {
  auto narrow = at::ones({64, 64}, at::kBFloat16).set_requires_grad(true), wide = at::ones({3}).set_requires_grad(true);
  Descent rule;
  TrainOptions options;
  options.optimizer.lr = 1;
  Optimizer optimizer({{"narrow", &narrow}, {"wide", &wide}}, options, rule);
  for (const auto& state : optimizer.state()) CHECK(state.value.tensor->scalar_type() == at::kFloat);
  constexpr float kGradient = 1.0F / 4096;  // a step below 1 is 1 / 256
  for (uint64_t step = 0; step < 512; ++step) {
    narrow.mutable_grad() = at::full({64, 64}, kGradient, at::kBFloat16);
    wide.mutable_grad() = at::full({3}, kGradient);
    if (step == 0) CHECK(std::abs(optimizer.clip(0) - kGradient * std::sqrt(64.0 * 64 + 3)) < 1e-8);
    optimizer.step(1, step);
    CHECK_FALSE(narrow.grad().defined());
  }
  CHECK(narrow.scalar_type() == at::kBFloat16);
  CHECK(std::abs(narrow.to(at::kDouble).mean().item<double>() - (1 - 512 * kGradient)) < 1e-3);
  CHECK(at::allclose(wide, at::full({3}, 1 - 512 * kGradient)));
  CHECK(at::allclose(*optimizer.state()[0].value.tensor, at::full({64, 64}, 512 * kGradient)));
}

TEST_CASE("the random bits of an update follow from its key and the parameter's name") {
  const auto after = [](const char* name, uint64_t key) {
    auto x = at::ones({50, 50}, at::kBFloat16).set_requires_grad(true);
    Descent rule;
    TrainOptions options;
    options.optimizer.lr = 1;
    Optimizer optimizer({{name, &x}}, options, rule);
    x.mutable_grad() = at::full({50, 50}, 1.0F / 512, at::kBFloat16);
    optimizer.step(1, key);
    return x.detach().clone();
  };
  CHECK(at::equal(after("a", 1), after("a", 1)));
  CHECK_FALSE(at::equal(after("a", 1), after("a", 2)));
  CHECK_FALSE(at::equal(after("a", 1), after("b", 1)));
}
