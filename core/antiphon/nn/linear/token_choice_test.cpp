// Adapters that change some rows of a pass, against both maps row by row.
#include <ATen/ATen.h>

#include <catch2/catch_test_macros.hpp>

#include <antiphon/base/error.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/testing.h>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

// y = g · (W x + b) + x, of square layers.
struct Changed : LinearAdapter {
  at::Tensor gain = at::full({1}, 3.0).set_requires_grad(true);
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override { return base.product(x) * gain + x; }
  LowRank low_rank() const override { return {at::ones({1, 4}), at::ones({4, 1})}; }
};

struct Layer {
  Linear linear{4, 4, true};
  std::shared_ptr<Changed> adapter = std::make_shared<Changed>();
  explicit Layer(TokenChoice tokens) {
    linear.initialize(7, at::kCPU);
    linear.adapters = {adapter};
    adapter->tokens = tokens;
  }
};

std::shared_ptr<const TokenKinds> kinds(int64_t tokens, std::vector<int64_t> media) {
  return std::make_shared<TokenKinds>(tokens, at::tensor(media, at::kLong));
}

}  // namespace

TEST_CASE("an adapter of media changes their rows and no others, and so does its gradient") {
  for (const auto choice : {TokenChoice::media, TokenChoice::text}) {
    Layer layer(choice);
    const auto x = at::randn({6, 4}).set_requires_grad(true);
    const auto is_media = at::tensor({0, 1, 0, 1, 1, 0}, at::kLong).to(at::kBool).unsqueeze(1);
    const auto chosen = choice == TokenChoice::media ? is_media : is_media.logical_not();
    const auto wanted = at::where(chosen, layer.linear.product(x) * 3 + x, layer.linear.product(x));
    const TokenKindScope scope(kinds(6, {4, 1, 3}));
    const auto y = layer.linear.forward(x);
    CHECK(relative_error(y, wanted) < 1e-6);
    CHECK_FALSE(layer.linear.low_rank().has_value());
    y.square().sum().backward();
    const auto mine = x.grad().clone();
    x.mutable_grad().reset();
    const auto rows = at::where(chosen, layer.linear.product(x) * 3 + x, layer.linear.product(x));
    rows.square().sum().backward();
    CHECK(relative_error(mine, x.grad()) < 1e-6);
    const auto of_gain = (2 * wanted * layer.linear.product(x) * chosen).sum();
    CHECK(relative_error(layer.adapter->gain.grad(), of_gain.reshape({1})) < 1e-5);
  }
}

TEST_CASE("a pass of text alone is the layer's own to an adapter of media, and whole to one of text") {
  const auto x = at::randn({3, 4});
  const TokenKindScope scope(kinds(3, {}));
  Layer media(TokenChoice::media), text(TokenChoice::text);
  CHECK(at::equal(media.linear.forward(x), media.linear.product(x)));
  CHECK_FALSE(media.linear.low_rank()->a.defined());
  CHECK(at::equal(text.linear.forward(x), text.linear.product(x) * 3 + x));
  CHECK(text.linear.low_rank()->a.defined());
}

TEST_CASE("adapters over each other keep to their rows") {
  Layer layer(TokenChoice::media);
  auto second = std::make_shared<Changed>();
  second->tokens = TokenChoice::text;
  layer.linear.adapters.push_back(second);
  const auto x = at::randn({4, 4});
  const TokenKindScope scope(kinds(4, {0, 2}));
  CHECK(relative_error(layer.linear.forward(x), layer.linear.product(x) * 3 + x) < 1e-6);
  second->tokens = TokenChoice::all;
  const auto once = at::where(at::tensor({1, 0, 1, 0}, at::kLong).to(at::kBool).unsqueeze(1),
                              layer.linear.product(x) * 3 + x, layer.linear.product(x));
  CHECK(relative_error(layer.linear.forward(x), once * 3 + x) < 1e-6);
  CHECK_FALSE(layer.linear.below(*second)->weights().weight.defined());  // no one matrix
}

TEST_CASE("a pass that does not say what its rows are is an error to such an adapter") {
  Layer layer(TokenChoice::media);
  CHECK_THROWS_AS(layer.linear.forward(at::randn({3, 4})), Error);
  const TokenKindScope scope(kinds(4, {0}));
  CHECK_THROWS_AS(layer.linear.forward(at::randn({3, 4})), Error);
  {
    const TokenKindScope none(nullptr);
    CHECK_THROWS_AS(layer.linear.forward(at::randn({4, 4})), Error);
  }
  CHECK_NOTHROW(layer.linear.forward(at::randn({4, 4})));
}
