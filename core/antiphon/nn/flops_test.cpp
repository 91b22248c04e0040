#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/base/trace.h>
#include <antiphon/nn/attention/float_attention.h>
#include <antiphon/nn/attention/short_attention.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/profile/flops.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <functional>

using namespace antiphon;
using Catch::Approx;

namespace {

// The FLOPs counted for `scope` while `body` runs.
double counted(const std::function<void()>& body, const std::string& scope = "all") {
  trace::start();
  {
    const profile::FlopCounter counter;
    TraceScope all("all");
    body();
  }
  trace::stop();
  double flops = 0;
  for (const auto& total : trace::totals())
    if (total.name == scope) flops += total.flops;
  return flops;
}

at::Tensor with_grad(at::IntArrayRef shape) { return at::ones(shape).requires_grad_(true); }

}  // namespace

TEST_CASE("flops: products") {
  const auto a = at::ones({3, 5}), b = at::ones({5, 7}), c = at::ones({2, 3, 5}), d = at::ones({2, 5, 7});
  CHECK(counted([&] { at::mm(a, b); }) == 2 * 3 * 5 * 7);
  CHECK(counted([&] { at::matmul(c, b); }) == 2 * 2 * 3 * 5 * 7);
  CHECK(counted([&] { at::bmm(c, d); }) == 2 * 2 * 3 * 5 * 7);
  CHECK(counted([&] { at::addmm(at::ones({7}), a, b); }) == 2 * 3 * 5 * 7);
  CHECK(counted([&] { at::linear(c, b.t(), at::ones({7})); }) == 2 * 2 * 3 * 5 * 7);
  CHECK(counted([&] { at::mv(a, at::ones({5})); }) == 2 * 3 * 5);
  CHECK(counted([&] { at::ones({3, 7}).addmm_(a, b); }) == 2 * 3 * 5 * 7);
  CHECK(counted([&] { a + a; }) == 0);
}

TEST_CASE("flops: convolutions, forward and backward") {
  const auto x = with_grad({2, 3, 28, 28}), w = with_grad({8, 3, 14, 14});
  const double forward = 2.0 * 2 * 8 * 2 * 2 * 3 * 14 * 14;
  CHECK(counted([&] { at::conv2d(x, w, {}, 14); }) == forward);
  CHECK(counted([&] { torch::autograd::backward({at::conv2d(x, w, {}, 14).sum()}, {}); }) == 3 * forward);
  CHECK(counted([&] { torch::autograd::backward({at::conv2d(x.detach(), w, {}, 14).sum()}, {}); }) == 2 * forward);
  const auto mel = at::ones({1, 80, 100}), filter = at::ones({16, 80, 3});
  CHECK(counted([&] { at::conv1d(mel, filter, {}, 2, 1); }) == 2.0 * 16 * 50 * 80 * 3);
  CHECK(counted([&] {
          at::conv1d(at::ones({1, 16, 10}), at::ones({16, 1, 3}), {}, 1, 1, 1, 16);
        }) == 2.0 * 16 * 10 * 3);
}

TEST_CASE("flops: attention, by whichever kernel") {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto q = at::ones({2, 4, 300, 16}, dtype).requires_grad_(true);
    const double product = 2.0 * 2 * 4 * 300 * 300 * 16;
    CHECK(counted([&] { at::scaled_dot_product_attention(q.detach(), q.detach(), q.detach()); }) == 2 * product);
    const double causal =
        counted([&] { at::scaled_dot_product_attention(q.detach(), q.detach(), q.detach(), {}, 0, true); });
    CHECK(causal == product);
    const double both =
        counted([&] { torch::autograd::backward({at::scaled_dot_product_attention(q, q, q).sum()}, {}); });
    CHECK((both == 7 * product || both == 6 * product));  // a flash kernel computes the scores once more
  }
}

TEST_CASE("flops: our own attention of short sequences") {
  const auto q = with_grad({64, 4, 16}), k = with_grad({64, 2, 16});
  const double product = 2.0 * 2 * 4 * 32 * 32 * 16;  // two sequences, four heads
  CHECK(counted([&] { nn::short_attention(q, k, k, {32, 32}); }) == 2 * product);
  CHECK(counted([&] { torch::autograd::backward({nn::short_attention(q, k, k, {32, 32}).sum()}, {}); }) == 6 * product);
}

TEST_CASE("flops: our own attention of float32 makes no products that a mask hides, and the scores twice") {
  const auto q = with_grad({160, 4, 16}), k = with_grad({160, 2, 16});
  const double product = 2.0 * 4 * 16 * (64 * 64 + 64 * 128 + 32 * 160), whole = 2.0 * 4 * 16 * 160 * 160;
  CHECK(counted([&] { nn::float_attention(q, k, k, {160}, true); }) == 2 * product);
  CHECK(counted([&] { torch::autograd::backward({nn::float_attention(q, k, k, {160}, false).sum()}, {}); }) ==
        7 * whole);
}

TEST_CASE("flops: a decoder counts 2 N T forward and 4 N T backward, within 5 %") {
  nn::DecoderOptions options;
  options.vocab_size = 16, options.hidden_size = 256, options.intermediate_size = 768, options.num_layers = 2;
  options.num_heads = 4, options.num_kv_heads = 2, options.head_size = 64, options.max_positions = 64;
  options.tie_embeddings = true;
  nn::Decoder decoder(options);
  decoder.initialize(1, at::kCPU);
  decoder.set_requires_grad(true);
  const int64_t tokens = 96;
  DecoderInput input;
  input.x_td = with_grad({tokens, 256});
  input.positions_at = at::arange(32).repeat({1, 3});
  input.lengths = {32, 32, 32};
  const double parameters = static_cast<double>(decoder.parameter_count() - 16 * 256);
  const double estimate = 2 * parameters * tokens;
  at::Tensor y;
  CHECK(counted([&] { y = decoder.forward(input); }) == Approx(estimate).epsilon(0.05));
  CHECK(counted([&] { torch::autograd::backward({y.sum()}, {}); }) == Approx(2 * estimate).epsilon(0.05));
}

TEST_CASE("flops: belong to the innermost scope, and to none after the counter is gone") {
  const auto body = [] {
    TraceScope inner("inner");
    at::mm(at::ones({2, 2}), at::ones({2, 2}));
  };
  CHECK(counted(body, "inner") == 16);
  CHECK(counted(body, "all") == 0);
  trace::start();
  {
    TraceScope all("all");
    body();
  }
  trace::stop();
  for (const auto& total : trace::totals()) CHECK(total.flops == 0);
}
