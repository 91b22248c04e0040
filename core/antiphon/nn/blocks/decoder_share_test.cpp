// A decoder that processes compute together gives what one gives, and the sums of their gradients are its gradients.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/base/error.h>
#include <antiphon/comm/test_group.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/smoothing.h>
#include <antiphon/nn/token_scores.h>
#include <antiphon/nn/token_slices.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::nn;
using comm::testing::my_place;
using comm::testing::run_group;

namespace {

DecoderOptions options_with(bool tied) {
  DecoderOptions o;
  o.vocab_size = 131, o.hidden_size = 32, o.intermediate_size = 45, o.num_layers = 2;  // divided unevenly
  o.num_heads = 4, o.num_kv_heads = 2, o.head_size = 8, o.max_positions = 64;
  o.qkv_bias = o.output_bias = o.mlp_bias = o.qk_norm = true, o.tie_embeddings = tied;
  return o;
}

// With all that Gemma has beside that.
DecoderOptions more_options() {
  auto o = options_with(true);
  o.norm = NormKind::rms_plus_one, o.branch_norms = true, o.activation = "gelu_tanh";
  o.score_scale = 0.5, o.score_cap = 2, o.logits = {0.5, 3}, o.embed_multiplier = 3, o.branch_multiplier = 0.7;
  o.window = 2, o.full_layers = {1}, o.window_rope_theta = 50, o.media_see_all = true;
  return o;
}

// 7 tokens in two sequences. Of log-probabilities of 4 of them, which are float32; or in float64 of the hidden states,
// to which each process contributes what some of them give.
at::Tensor loss_of(Decoder& decoder, bool of_scores, int64_t rank = 0, int64_t size = 1) {
  const auto ids = at::tensor({5, 130, 65, 66, 0, 64, 99}, at::kLong);
  DecoderInput input;
  input.x_td = decoder.embed(ids);
  input.positions_at = at::tensor({0, 1, 2, 0, 1, 2, 3}, at::kLong).unsqueeze(0), input.lengths = {3, 4};
  input.media = {{1, 2}, {4, 3}};
  const auto all = decoder.forward(input);
  if (!of_scores) return (all.sin() * at::arange(7).remainder(size).eq(rank).unsqueeze(1)).sum();
  const auto hidden = all.index_select(0, at::tensor({0, 1, 4, 5}, at::kLong));
  const auto part = decoder.head_part();
  const auto logp = token_scores(hidden, decoder.head_weight(), at::tensor({130, 65, 64, 3}, at::kLong),
                                 {3, false, part.group, part.begin, decoder.options().logits});
  return (logp.to(at::kDouble) * at::tensor({1.0, -0.5, 2.0, 0.25}, at::kDouble)).sum();
}

void prepare(Decoder& decoder) {
  decoder.set_requires_grad(true);
  decoder.initialize(11, at::kCPU);
  decoder.to(at::kCPU, at::kDouble);
  c10::AutoGradMode no_grad(false);
  for (const auto& parameter : decoder.parameters())
    if (parameter.init == Init::zeros) parameter.tensor->fill_(0.1);
}

void compare(comm::Group& group, const DecoderOptions& options, bool of_scores, const Smoothing& smoothing = {}) {
  const bool tied = options.tie_embeddings;
  CAPTURE(tied, of_scores, options.branch_norms, smoothing.label_smoothing, smoothing.z_loss);
  const Smoothing::Scope smoothed(smoothing);
  Decoder whole(options), shared(options);
  shared.share({.group = &group, .slices = &group});
  prepare(whole), prepare(shared);
  CHECK(shared.parameter_count() == whole.parameter_count());
  const auto expected = loss_of(whole, of_scores), got = loss_of(shared, of_scores, group.rank(), group.size());
  if (of_scores) CHECK(std::abs(got.item<double>() - expected.item<double>()) < 1e-5);
  torch::autograd::backward({expected}, {});
  torch::autograd::backward({got}, {});
  const auto of_whole = whole.parameters(), of_shared = shared.parameters();
  int64_t parts = 0;
  for (size_t i = 0; i < of_whole.size(); ++i) {
    INFO(of_whole[i].name);
    const auto& parameter = of_shared[i];
    auto gradient = parameter.tensor->grad();
    if (!gradient.defined()) gradient = at::zeros_like(*parameter.tensor).detach();
    parts += parameter.box.has_value();
    const bool in_all = !parameter.box || parameter.tensor->sizes() == parameter.box->whole;
    if (in_all) group.sum(gradient = gradient.contiguous().clone());
    if (!of_whole[i].tensor->grad().defined()) continue;  // the head, if it is not asked
    const auto wanted = parameter.part_of(of_whole[i].tensor->grad());
    const double most = of_whole[i].tensor->grad().abs().max().item<double>();
    CHECK(at::allclose(*parameter.tensor, parameter.part_of(*of_whole[i].tensor), 0, 0));
    const double rounding = of_scores ? 1e-5 * most + 1e-7 : 1e-9 * most + 1e-12;
    if (wanted.numel() > 0) CHECK((gradient - wanted).abs().max().item<double>() <= rounding);
  }
  CHECK(parts == (tied ? 1 : 2) + 2 * (3 * 2 + 1 + 2 * 2 + 1));
  CHECK(comm::testing::same_ledger(group));
}

}  // namespace

TEST_CASE("a decoder that several processes compute together: loss and gradients are those of one") {
  CHECK(run_group(2, "member shares a decoder") == 0);
  CHECK(run_group(1, "member shares a decoder") == 0);
}

TEST_CASE("member shares a decoder", "[.]") {
  comm::Group group(my_place());
  for (const bool tied : {true, false})
    for (const bool of_scores : {true, false}) compare(group, options_with(tied), of_scores);
  for (const bool of_scores : {true, false}) compare(group, more_options(), of_scores);
  auto one_head = options_with(true);
  one_head.num_kv_heads = 1;  // of keys and values, which both have
  compare(group, one_head, false);
  compare(group, options_with(true), true, {.label_smoothing = 0.2, .z_loss = 0.01});
  group.wait_for_all();
}

TEST_CASE("heads that a number of processes does not divide are refused") {
  CHECK(run_group(3, "member cannot share") == 0);
}

TEST_CASE("changes of the embedding and of the head that do not say how they are divided are refused") {
  CHECK(run_group(2, "member has changed tables") == 0);
}

TEST_CASE("member has changed tables", "[.]") {
  struct Nothing : TableAdapter {
    at::Tensor read(const at::Tensor&, const at::Tensor& x_nd) override { return x_nd; }
    AddedProducts written(const at::Tensor&, const Rows&) override { return {}; }
    at::Tensor merged(const at::Tensor& table_vd) const override { return table_vd; }
  };
  comm::Group group(my_place());
  for (const size_t table : {0, 1})
    for (const bool stages : {false, true}) {
      Decoder decoder(options_with(false));
      decoder.tables()[table].table->adapters.push_back(std::make_shared<Nothing>());
      SharedBy by{.group = stages ? nullptr : &group, .slices = stages ? nullptr : &group};
      if (stages) by.stages = &group;
      try {
        decoder.share(by);
        FAIL("it shared");
      } catch (const Error& error) {
        CHECK(std::string(error.what()).find(stages ? "parallel.pipeline" : "parallel.tensor") != std::string::npos);
      }
    }
  group.wait_for_all();
}

TEST_CASE("member cannot share", "[.]") {
  comm::Group group(my_place());
  Decoder decoder(options_with(true));
  CHECK_THROWS_AS(decoder.share({.group = &group, .slices = &group}), Error);
  CHECK(part_of(7, 0, 3).size + part_of(7, 1, 3).size + part_of(7, 2, 3).size == 7);
  group.wait_for_all();
}
