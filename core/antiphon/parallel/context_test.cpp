// A decoder whose tokens are divided among processes gives the gradients of one.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/base/error.h>
#include <antiphon/comm/test_group.h>
#include <antiphon/nn/attention/prefix.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/token_slices.h>
#include <antiphon/parallel/test_gradients.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::nn;
using comm::testing::my_place;
using comm::testing::run_group;

namespace {

DecoderOptions options_with(int64_t kv_heads, int64_t window, int64_t heads = 8) {
  DecoderOptions o;
  o.vocab_size = 37, o.hidden_size = 32, o.intermediate_size = 21, o.num_layers = 2;
  o.num_heads = heads, o.num_kv_heads = kv_heads, o.head_size = 4, o.max_positions = 64, o.window = window;
  o.qkv_bias = o.output_bias = o.mlp_bias = o.qk_norm = true, o.tie_embeddings = true;
  o.media_see_all = true;
  return o;
}

struct Cell {
  Cell(int contexts_count) : all(my_place()) {
    const int parts_count = all.size() / contexts_count, context = all.rank() / parts_count,
              part = all.rank() % parts_count;
    std::vector<int> with_context, with_part;
    for (int i = 0; i < parts_count; ++i) with_context.push_back(context * parts_count + i);
    for (int i = 0; i < contexts_count; ++i) with_part.push_back(i * parts_count + part);
    if (parts_count > 1) parts = all.subgroup("parts", with_context);
    contexts = all.subgroup("contexts", with_part);
  }
  comm::Group all;
  std::unique_ptr<comm::Group> parts, contexts;
};

// Of 11 tokens in sequences of 2, 1 and 8: contexts and slices cut through them. Each process adds what some of its
// tokens give; the tokens of a context are in all its parts.
at::Tensor loss_of(Decoder& decoder, const TokenSlices& slices, const at::Tensor& kv = {}) {
  constexpr int64_t tokens = 11;
  DecoderInput input;
  input.x_td = decoder.embed((at::arange(tokens, at::kLong) * 7).remainder(37));
  if (slices.context() > 0) input.x_td = at::zeros_like(input.x_td);
  input.positions_at = at::tensor({0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7}, at::kLong).unsqueeze(0), input.lengths = {2, 1, 8};
  input.media = {{0, 2}, {5, 4}};
  if (kv.defined()) {
    const auto prefix = std::make_shared<Prefix>(own_heads(kv, slices));
    input.prefix = prefix;
    input.positions_at = input.positions_at + prefix->tokens();
  }
  const auto hidden = decoder.forward(input);
  const auto own = slices.of_context(tokens);
  CHECK(hidden.size(0) == own.size);
  const int size = slices.parts ? slices.parts->size() : 1, rank = slices.parts ? slices.parts->rank() : 0;
  const auto place = at::arange(own.begin, own.begin + own.size, at::kDouble);
  return (hidden.sin() * (place + 1).mul(at::arange(own.size).remainder(size).eq(rank)).unsqueeze(1)).sum();
}

// `before`: keys and values before every sequence, of which each process has all, and the gradient of its heads.
void compare(Cell& cell, int64_t kv_heads, int64_t window, int64_t heads = 8, int64_t before = 0) {
  CAPTURE(kv_heads, window, heads, before);
  const auto options = options_with(kv_heads, window, heads);
  Decoder whole(options), shared(options);
  for (auto* decoder : {&whole, &shared}) decoder->set_requires_grad(true);
  auto* parts = cell.parts.get();
  shared.share({.group = parts, .learns_before = before > 0, .contexts = cell.contexts.get(), .slices = &cell.all});
  for (auto* decoder : {&whole, &shared}) {
    decoder->initialize(11, at::kCPU);
    decoder->to(at::kCPU, at::kDouble);
    c10::AutoGradMode no_grad(false);
    for (const auto& parameter : decoder->parameters())
      if (parameter.init == Init::zeros) parameter.tensor->fill_(0.1);
  }
  at::Tensor kv, kv_shared;
  if (before > 0) {
    kv = at::arange(2 * 2 * before * kv_heads * 4, at::kDouble).sin().view({2, 2, before, kv_heads, 4});
    kv_shared = kv.clone().set_requires_grad(true), kv.set_requires_grad(true);
  }
  const auto expected = loss_of(whole, {}, kv),
             got = loss_of(shared, {parts, cell.contexts.get(), &cell.all}, kv_shared);
  const auto sum = got.detach().clone();
  cell.all.sum(sum);
  CHECK(std::abs(sum.item<double>() - expected.item<double>()) < 1e-9 * std::abs(expected.item<double>()));
  torch::autograd::backward({expected}, {});
  torch::autograd::backward({got}, {});
  parallel::testing::check_gradients(shared.parameters(), whole.parameters(), cell.all, 1e-9, 1e-13);
  if (before > 0) {
    const auto all = kv_shared.grad().contiguous().clone();
    cell.all.sum(all);
    CHECK(at::allclose(all, kv.grad(), 1e-9, 1e-12));
  }
  CHECK(comm::testing::same_ledger(*cell.contexts));
  cell.all.wait_for_all();
}

}  // namespace

TEST_CASE("a decoder whose tokens are divided among processes gives the gradients of one") {
  CHECK(run_group(2, "member has some tokens of two") == 0);
  CHECK(run_group(4, "member has some tokens of four") == 0);
  CHECK(run_group(4, "member is a part of a context") == 0);
}

// Key and value heads enough for each process, and so few that they are repeated.
TEST_CASE("member has some tokens of two", "[.]") {
  Cell cell(2);
  for (const int64_t kv_heads : {8, 4, 2, 1})
    for (const int64_t window : {0, 3}) compare(cell, kv_heads, window);
  for (const int64_t kv_heads : {4, 1}) compare(cell, kv_heads, 0, 8, /*before=*/3);
}

TEST_CASE("member has some tokens of four", "[.]") {
  Cell cell(4);
  for (const int64_t kv_heads : {8, 2, 1}) compare(cell, kv_heads, 0);
  compare(cell, 6, 0, 12);  // neither number divides the other
}

TEST_CASE("member is a part of a context", "[.]") {
  Cell cell(2);
  for (const int64_t kv_heads : {4, 2, 1})
    for (const int64_t before : {0, 3}) compare(cell, kv_heads, 0, 8, before);
}

TEST_CASE("heads that contexts do not divide are refused") { CHECK(run_group(3, "member has no heads") == 0); }

TEST_CASE("member has no heads", "[.]") {
  comm::Group group(my_place());
  Decoder decoder(options_with(2, 0));
  CHECK_THROWS_AS(decoder.share({.contexts = &group, .slices = &group}), Error);
  group.wait_for_all();
}
