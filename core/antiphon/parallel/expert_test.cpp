// A decoder whose experts are divided among processes gives the gradients of one.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/base/error.h>
#include <antiphon/comm/test_group.h>
#include <antiphon/component/auxiliary_losses.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/token_slices.h>
#include <antiphon/parallel/test_gradients.h>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

using namespace antiphon;
using namespace antiphon::nn;
using comm::testing::my_place;
using comm::testing::run_group;

namespace {

DecoderOptions options_with(int64_t experts) {
  DecoderOptions o;
  o.vocab_size = 37, o.hidden_size = 16, o.intermediate_size = 12, o.num_layers = 3;
  o.num_heads = 4, o.num_kv_heads = 2, o.head_size = 4, o.max_positions = 64;
  o.tie_embeddings = true, o.dense_layers = {1};
  o.moe = {.experts = experts, .top_k = 2, .intermediate_size = 10, .balance = 0.3, .router_z = 0.2};
  o.moe.capacity = {0.9, true}, o.moe.shared_size = 8;
  return o;
}

constexpr int64_t kTokens = 11, kPadding = 2;

// Of a batch of 9 tokens and padding; of hidden states, to which each process contributes what its tokens give.
at::Tensor loss_of(Decoder& decoder, int64_t batch, const TokenSlices& slices) {
  DecoderInput input;
  input.x_td = decoder.embed((at::arange(kTokens, at::kLong) * 7 + batch).remainder(37));
  if (slices.context() > 0) input.x_td = at::zeros_like(input.x_td);
  input.positions_at = at::tensor({0, 1, 0, 1, 2, 3, 4, 5, 6, 0, 1}, at::kLong).unsqueeze(0), input.lengths = {2, 7, 2};
  input.padding = kPadding;
  const TrainingPass training;
  AuxiliaryLosses losses(0.5);
  const auto hidden = decoder.forward(input);
  const auto own = slices.of_context(kTokens);
  const int size = slices.parts ? slices.parts->size() : 1, rank = slices.parts ? slices.parts->rank() : 0;
  const auto place = at::arange(own.begin, own.begin + own.size, at::kDouble);
  const auto counts = at::arange(own.size).remainder(size).eq(rank).logical_and(place.lt(kTokens - kPadding));
  return (hidden.sin() * ((place + 1) * counts).unsqueeze(1)).sum();
}

void prepare(Decoder& decoder) {
  decoder.initialize(11, at::kCPU);
  decoder.to(at::kCPU, at::kDouble);
}

// `batches`: of the process, or of its cell.
void compare(comm::Group& all, const SharedBy& by, int64_t experts, const std::vector<int64_t>& batches) {
  CAPTURE(experts);
  Decoder whole(options_with(experts)), shared(options_with(experts));
  for (auto* decoder : {&whole, &shared}) decoder->set_requires_grad(true);
  shared.share(by);
  prepare(whole), prepare(shared);
  CHECK(shared.parameter_count() == whole.parameter_count());
  const auto own_batches = at::tensor(batches, at::kLong);
  const auto of_all = at::empty({all.size(), own_batches.size(0)}, at::kLong);
  all.gather(own_batches, of_all);
  const int64_t same = by.slices ? by.slices->size() : 1;  // processes that have one batch together
  double expected = 0;
  for (int64_t first = 0; first < all.size(); first += same)
    for (int64_t i = 0; i < of_all.size(1); ++i) {
      const auto loss = loss_of(whole, of_all[first][i].item<int64_t>(), {});
      torch::autograd::backward({loss}, {});
      expected += loss.item<double>();
    }
  const auto got = at::zeros({1}, at::kDouble);
  for (const auto batch : batches) {
    const auto loss = loss_of(shared, batch, {by.group, by.contexts, by.slices});
    torch::autograd::backward({loss}, {});
    got.add_(loss.detach());
  }
  all.sum(got);
  CHECK(std::abs(got.item<double>() - expected) < 1e-9 * std::abs(expected));
  // Probabilities, which the balance is of, are float32.
  const auto names = parallel::testing::check_gradients(shared.parameters(), whole.parameters(), all, 1e-6, 1e-9);
  const auto of_experts = static_cast<size_t>(
      std::ranges::count_if(names, [](const std::string& name) { return name.find("experts") != std::string::npos; }));
  CHECK(of_experts == static_cast<size_t>(2 * 3 * part_of(experts, by.experts->rank(), by.experts->size()).size));
  all.wait_for_all();
}

}  // namespace

TEST_CASE("experts that are divided among processes: loss and gradients are those of one") {
  CHECK(run_group(2, "member has some experts") == 0);
  CHECK(run_group(3, "member has some experts") == 0);
  CHECK(run_group(2, "member has some experts and tokens") == 0);
  CHECK(run_group(4, "member has some experts with tokens and heads") == 0);
}

TEST_CASE("member has some experts", "[.]") {
  comm::Group all(my_place());
  for (const int64_t experts : {3, 4, 8})
    compare(all, {.experts = &all}, experts, {3 * all.rank(), 3 * all.rank() + 1});
  CHECK(comm::testing::same_ledger(all));
  all.wait_for_all();
}

// Of one batch, by its contexts and by its parts.
TEST_CASE("member has some experts and tokens", "[.]") {
  comm::Group all(my_place());
  const auto slices = all.subgroup("slices", {0, 1});
  compare(all, {.contexts = slices.get(), .slices = slices.get(), .experts = slices.get()}, 4, {5, 6});
  compare(all, {.group = slices.get(), .slices = slices.get(), .experts = slices.get()}, 4, {5, 6});
  all.wait_for_all();
}

// Two batches, each of two parts; the experts among all four.
TEST_CASE("member has some experts with tokens and heads", "[.]") {
  comm::Group all(my_place());
  const int cell = all.rank() / 2;
  const auto slices = all.subgroup("slices", {2 * cell, 2 * cell + 1});
  compare(all, {.group = slices.get(), .slices = slices.get(), .experts = &all}, 5, {7 * cell, 7 * cell + 1});
  all.wait_for_all();
}

TEST_CASE("experts that cannot be divided are refused") { CHECK(run_group(2, "member has no experts") == 0); }

TEST_CASE("member has no experts", "[.]") {
  comm::Group all(my_place());
  auto dense = options_with(4);
  dense.moe = {};
  Decoder without(dense);
  CHECK_THROWS_AS(without.share({.experts = &all}), Error);
  auto one = options_with(1);
  one.moe.top_k = 1;
  Decoder with_one(one);
  CHECK_THROWS_AS(with_one.share({.experts = &all}), Error);
  all.wait_for_all();
}
