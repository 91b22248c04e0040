// A block that is computed again gives the same loss and gradients to the bit, with dropout and batch statistics, and
// keeps less memory.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/component/training_pass.h>
#include <antiphon/nn/batch_norm.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/blocks/recompute.h>
#include <antiphon/nn/testing.h>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

// Dropout, batch statistics and a product.
class Noisy : public Module {
 public:
  explicit Noisy(int64_t size) : norm_(size), linear_(size, size, true) {
    add("norm", norm_);
    add("linear", linear_);
  }
  at::Tensor forward(const at::Tensor& x) const {
    ++runs;
    const auto y = norm_.forward(x.t().unsqueeze(0), TrainingPass::now())[0].t();
    return x + linear_.forward(at::dropout(y, 0.3, TrainingPass::now()));
  }
  mutable int runs = 0;

 private:
  BatchNorm norm_;
  Linear linear_;
};

struct Stack {
  std::vector<std::unique_ptr<Noisy>> layers;
  Stack() {
    for (uint64_t i = 0; i < 3; ++i) {
      layers.push_back(std::make_unique<Noisy>(8));
      layers.back()->set_requires_grad(true);
      layers.back()->initialize(i, at::kCPU);
    }
  }
};

// The result, the gradient of x, and for each parameter its gradient, or its value if it is a running statistic.
std::vector<at::Tensor> trained(BlockPolicy* policy, bool x_learns, int& runs) {
  at::manual_seed(5);
  Stack stack;
  const auto x = random({6, 8}, 1).set_requires_grad(x_learns);
  at::Tensor y;
  {
    const TrainingPass training;
    const BlockPolicyScope scope(policy);
    y = run_blocks(stack.layers, x, [](const Noisy& layer, const at::Tensor& in, size_t) { return layer.forward(in); });
  }
  const auto after = at::rand({3});
  torch::autograd::backward({y.pow(2).sum()}, {});
  std::vector<at::Tensor> all{y.detach(), after, at::rand({3})};  // random numbers go on as without
  if (x_learns) all.push_back(x.grad());
  runs = 0;
  for (auto& layer : stack.layers) {
    runs += layer->runs;
    for (const auto& parameter : layer->parameters())
      all.push_back(parameter.fixed ? *parameter.tensor : parameter.tensor->grad());
  }
  return all;
}

}  // namespace

TEST_CASE("blocks that are computed again give the same to the bit, dropout and running statistics included") {
  for (const bool x_learns : {true, false})
    for (const int64_t blocks : {1, 2, 100}) {
      int once = 0, again = 0;
      Recompute policy(blocks, /*on_host=*/blocks == 2);
      const auto expected = trained(nullptr, x_learns, once), got = trained(&policy, x_learns, again);
      CHECK(once == 3);
      CHECK(again == 3 + std::min<int64_t>(blocks, 3));
      REQUIRE(got.size() == expected.size());
      for (size_t i = 0; i < got.size(); ++i) {
        INFO(i);
        CHECK(at::equal(got[i], expected[i]));
      }
    }
}

TEST_CASE("without a gradient to come, a block runs once and keeps nothing") {
  Stack stack;
  for (auto& layer : stack.layers) layer->set_requires_grad(false);
  Recompute policy(3);
  const BlockPolicyScope scope(&policy);
  const auto forward = [](const Noisy& layer, const at::Tensor& in, size_t) { return layer.forward(in); };
  CHECK_FALSE(run_blocks(stack.layers, random({6, 8}, 1), forward).requires_grad());
  for (auto& layer : stack.layers) layer->set_requires_grad(true);
  const at::NoGradGuard evaluation;
  run_blocks(stack.layers, random({6, 8}, 1), forward);
  for (const auto& layer : stack.layers) CHECK(layer->runs == 2);
}

TEST_CASE("a decoder and what is added to it train the same with blocks computed again, in bfloat16, too") {
  DecoderOptions options;
  options.vocab_size = 20, options.hidden_size = 32, options.intermediate_size = 48, options.num_layers = 3;
  options.num_heads = 4, options.num_kv_heads = 2, options.head_size = 8, options.max_positions = 64;
  options.window = 3, options.full_layers = {1}, options.window_rope_theta = 50;
  const auto gradients = [&](BlockPolicy* policy, at::ScalarType dtype) {
    Decoder decoder(options);
    decoder.initialize(5, at::kCPU);
    decoder.set_requires_grad(true);
    const BlockPolicyScope scope(policy);
    DecoderInput input;
    input.x_td = decoder.embed(at::arange(18, at::kLong)).to(dtype);
    input.positions_at = at::cat({at::arange(7, at::kLong), at::arange(11, at::kLong)}).unsqueeze(0),
    input.lengths = {7, 11};
    input.added.tokens_n = at::tensor({1, 2, 9}, at::kLong);
    for (uint64_t i = 0; i < 2; ++i)
      input.added.after.push_back(random({3, 32}, 40 + i).to(dtype).detach().set_requires_grad(true));
    const auto y = decoder.forward(input);
    torch::autograd::backward({y.to(at::kFloat).pow(2).sum()}, {});
    std::vector<at::Tensor> all{y.detach()};
    for (const auto& parameter : decoder.parameters())
      if (parameter.tensor->grad().defined()) all.push_back(parameter.tensor->grad());
    for (const auto& added : input.added.after) all.push_back(added.grad());  // whether its block runs again or not
    return all;
  };
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    Recompute policy(2);
    const auto expected = gradients(nullptr, dtype), got = gradients(&policy, dtype);
    REQUIRE(got.size() == expected.size());
    CHECK(got.size() > 25);
    for (size_t i = 0; i < got.size(); ++i) CHECK(at::equal(got[i], expected[i]));
  }
}
