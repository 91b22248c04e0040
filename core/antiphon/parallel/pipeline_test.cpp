// A decoder whose blocks are dealt out to processes gives what one gives, under every schedule, and so do gradients.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/base/error.h>
#include <antiphon/comm/test_group.h>
#include <antiphon/component/pipeline_pass.h>
#include <antiphon/nn/attention/prefix.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/deferred_gradients.h>
#include <antiphon/parallel/schedule.h>
#include <antiphon/parallel/test_gradients.h>

#include <catch2/catch_test_macros.hpp>

#include <map>

using namespace antiphon;
using namespace antiphon::nn;
using comm::testing::my_place;
using comm::testing::run_group;
using parallel::Pass;
using parallel::ScheduleKind;

namespace {

constexpr int kBatches = 4;

DecoderOptions options_with(bool tied) {
  DecoderOptions o;
  o.vocab_size = 37, o.hidden_size = 16, o.intermediate_size = 21, o.num_layers = 5;  // dealt out unevenly
  o.num_heads = 4, o.num_kv_heads = 2, o.head_size = 4, o.max_positions = 64;
  o.qkv_bias = true, o.tie_embeddings = tied;
  return o;
}

// What is trained beside the decoder: rows [blocks, 2, hidden_size] that are added after blocks, of two tokens, and
// keys and values before sequences.
struct Beside {
  Beside(int64_t blocks, int64_t before) {
    if (blocks > 0) rows = at::arange(blocks * 2 * 16, at::kDouble).sin().view({blocks, 2, 16}).requires_grad_();
    if (before > 0) kv = at::arange(5 * 2 * before * 8, at::kDouble).cos().view({5, 2, before, 2, 4}).requires_grad_();
  }
  at::Tensor rows, kv;
};

// Each batch has another number of tokens. What a stage that is not the last gives is only to be passed back.
at::Tensor loss_of(Decoder& decoder, const Beside& beside, int batch, bool first, bool last) {
  const int64_t tokens = 3 + batch;
  DecoderInput input;
  input.x_td = first ? decoder.embed((at::arange(tokens, at::kLong) * 7 + batch).remainder(37))
                     : at::empty({0, 16}, at::kDouble);
  input.positions_at = at::arange(tokens, at::kLong).unsqueeze(0), input.lengths = {tokens};
  if (beside.rows.defined()) {
    input.added.tokens_n = at::tensor({0, 2}, at::kLong);
    input.added.after = (first ? beside.rows : at::zeros_like(beside.rows).detach()).unbind();
  }
  if (beside.kv.defined()) input.prefix = std::make_shared<Prefix>(beside.kv);
  const auto given = decoder.forward(input);
  return last ? at::matmul(given, decoder.head_weight().t()).sin().sum() * 0.1 : given;
}

void prepare(Decoder& decoder) {
  decoder.initialize(11, at::kCPU);
  decoder.to(at::kCPU, at::kDouble);
}

struct Mesh {
  explicit Mesh(int stages) : all(my_place()) {
    const int parts = all.size() / stages, stage = all.rank() / parts, part = all.rank() % parts;
    std::vector<int> of_stage, of_part;
    for (int i = 0; i < parts; ++i) of_stage.push_back(stage * parts + i);
    for (int i = 0; i < stages; ++i) of_part.push_back(i * parts + part);
    pipeline = all.subgroup("pipeline", of_part);
    if (parts > 1) tensor = all.subgroup("tensor", of_stage);
  }
  comm::Group all;
  std::unique_ptr<comm::Group> pipeline, tensor;
};

struct Case {
  ScheduleKind kind = ScheduleKind::one_f_one_b;
  int chunks = 1;
  bool tied = true, embedding_trained = true;
  std::vector<int64_t> blocks = {};
  int64_t added = 0, before = 0;  // blocks that something is added after, and tokens before sequences
};

// Each process has a share of the gradient, or none.
void check_sum(const at::Tensor& shared, const at::Tensor& whole, comm::Group& all) {
  if (!whole.defined()) return;
  const auto sum = shared.grad().defined() ? shared.grad().contiguous().clone() : at::zeros_like(whole).detach();
  all.sum(sum);
  CHECK(at::allclose(sum, whole.grad(), 1e-9, 1e-12));
  CHECK(whole.grad().abs().max().item<double>() > 0);
}

void compare(Mesh& mesh, const Case& c) {
  CAPTURE(c.kind, c.chunks, c.tied, c.embedding_trained, c.blocks, c.added, c.before);
  const Beside beside_whole(c.added, c.before), beside(c.added, c.before);
  Decoder whole(options_with(c.tied)), shared(options_with(c.tied));
  for (auto* decoder : {&whole, &shared}) {
    decoder->set_requires_grad(true);
    if (c.embedding_trained) continue;
    for (auto& parameter : decoder->parameters())
      if (parameter.name == "embed_tokens" || parameter.name.starts_with("layers.0."))
        parameter.tensor->set_requires_grad(false);
  }
  shared.share({.group = mesh.tensor.get(),
                .learns_before = c.added + c.before > 0,
                .slices = mesh.tensor.get(),
                .stages = mesh.pipeline.get(),
                .chunks = c.chunks,
                .blocks_of_ranges = c.blocks});
  prepare(whole), prepare(shared);
  CHECK(shared.parameter_count() == whole.parameter_count());

  double expected = 0, got = 0;
  for (int batch = 0; batch < kBatches; ++batch) {
    const auto loss = loss_of(whole, beside_whole, batch, true, true);
    torch::autograd::backward({loss}, {});
    expected += loss.item<double>();
  }
  const int stage = mesh.pipeline->rank(), stages = mesh.pipeline->size();
  std::map<std::pair<int, int>, at::Tensor> losses;
  std::map<std::pair<int, int>, nn::DeferredGradients> deferred;
  for (const auto& pass : parallel::passes_of(c.kind, {stages, c.chunks, kBatches}, stage)) {
    auto& later = deferred[{pass.batch, pass.chunk}];
    if (pass.kind == Pass::Kind::weights) {
      later.compute();
      continue;
    }
    const nn::DeferredGradients::Scope defers(c.kind == ScheduleKind::zero_bubble ? &later : nullptr);
    if (pass.kind == Pass::Kind::forward) {
      const PipelinePass scope(pass.batch, pass.chunk);
      losses[{pass.batch, pass.chunk}] = loss_of(shared, beside, pass.batch, stage == 0 && pass.chunk == 0,
                                                 stage + 1 == stages && pass.chunk + 1 == c.chunks);
      continue;
    }
    const auto loss = losses.extract({pass.batch, pass.chunk}).mapped();
    if (loss.requires_grad()) torch::autograd::backward({loss}, {});
    got += loss.item<double>();
  }
  // Of parts of the last stage, each of some of the vocabulary.
  const auto sum = at::tensor({stage + 1 == stages ? got : 0.0}, at::kDouble);
  mesh.all.sum(sum);
  CHECK(std::abs(sum.item<double>() - expected) < 1e-9 * std::abs(expected));

  auto trained = shared.parameters();
  std::erase_if(trained, [](const Parameter& parameter) { return !parameter.tensor->requires_grad(); });
  const auto names = parallel::testing::check_gradients(trained, whole.parameters(), mesh.all, 1e-9, 1e-13);
  check_sum(beside.rows, beside_whole.rows, mesh.all), check_sum(beside.kv, beside_whole.kv, mesh.all);
  const auto compared = at::tensor({static_cast<int64_t>(names.size())}, at::kLong);
  mesh.all.sum(compared);
  CHECK(compared.item<int64_t>() > 0);
  mesh.all.wait_for_all();
}

}  // namespace

TEST_CASE("a pipeline of processes gives the gradients of one, under every schedule") {
  CHECK(run_group(2, "member is a stage of two") == 0);
  CHECK(run_group(3, "member is a stage") == 0);
  CHECK(run_group(4, "member is a part of a stage") == 0);
}

TEST_CASE("member is a stage of two", "[.]") {
  Mesh mesh(2);
  for (const auto kind : {ScheduleKind::gpipe, ScheduleKind::one_f_one_b, ScheduleKind::zero_bubble})
    for (const bool tied : {true, false}) compare(mesh, {.kind = kind, .tied = tied});
  for (const int chunks : {1, 2}) compare(mesh, {.kind = ScheduleKind::interleaved, .chunks = chunks});
  compare(mesh, {.tied = false, .embedding_trained = false});
  compare(mesh, {.tied = false, .embedding_trained = false, .blocks = {1, 4}});  // nothing is trained in the first
  compare(mesh, {.blocks = {0, 5}});
  compare(mesh, {.blocks = {5, 0}});
  for (const int64_t added : {1, 4, 5}) compare(mesh, {.tied = false, .embedding_trained = false, .added = added});
  compare(mesh, {.blocks = {0, 5}, .added = 2});
  compare(mesh, {.kind = ScheduleKind::interleaved, .chunks = 2, .added = 4, .before = 3});
}

TEST_CASE("member is a stage", "[.]") {
  Mesh mesh(3);
  for (const auto kind : {ScheduleKind::gpipe, ScheduleKind::one_f_one_b}) compare(mesh, {.kind = kind});
  for (const int64_t more : {0, 4}) compare(mesh, {.blocks = {2, 0, 3}, .added = more, .before = more});
}

TEST_CASE("member is a part of a stage", "[.]") {
  Mesh mesh(2);
  for (const bool tied : {true, false}) compare(mesh, {.tied = tied});
}

TEST_CASE("layers that cannot be dealt out are refused") { CHECK(run_group(2, "member cannot be a stage") == 0); }

TEST_CASE("member cannot be a stage", "[.]") {
  comm::Group group(my_place());
  Decoder decoder(options_with(true));
  CHECK_THROWS_AS(decoder.share({.stages = &group, .blocks_of_ranges = {2, 2}}), Error);
  CHECK_THROWS_AS(decoder.share({.stages = &group, .blocks_of_ranges = {2, 2, 1}}), Error);
  group.wait_for_all();
}
