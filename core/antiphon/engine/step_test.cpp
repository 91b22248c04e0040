// Steps with rows and lengths on the device against the plain step, on the CPU; recorded and replayed if there is a
// CUDA device.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/engine/generator.h>
#include <antiphon/engine/step.h>
#include <antiphon/kernels/test_cuda.h>
#include <antiphon/model/test_model.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

using namespace antiphon;
using namespace antiphon::engine;

namespace {

const bool quiet = (log::set_level(log::Level::error), true);

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

at::Tensor plain(DecodingSteps& steps, const std::vector<int64_t>& ids, const std::vector<int64_t>& rows) {
  return steps(ids, rows);
}
at::Tensor on_device(DecodingSteps& steps, const std::vector<int64_t>& ids, const std::vector<int64_t>& rows) {
  return steps.on_device(ids, rows);
}

// Steps of all rows, then of some, on the model's device; hidden states on the CPU.
template <class Step>
std::vector<at::Tensor> hidden_states(model::MultimodalLm& model, const Step& step, int64_t blocks = 3) {
  c10::InferenceMode inference;
  auto cache = model.make_cache(blocks);
  for (int row = 0; row < 3; ++row) cache.add_row();
  DecodingSteps steps(model, cache);
  const std::vector<std::vector<int64_t>> rounds{{0, 1, 2}, {0, 1, 2}, {2, 0}, {0, 1, 2}, {0, 2}, {1},
                                                 {0, 1, 2}, {2, 0},    {0, 2}, {2, 1},    {1},    {1}};
  std::vector<at::Tensor> states;
  int64_t id = 3;
  for (const auto& rows : rounds) {
    std::vector<int64_t> ids;
    for (size_t i = 0; i < rows.size(); ++i) ids.push_back(id = (id * 7 + 5) % 300);
    states.push_back(step(steps, ids, rows));
  }
  for (auto& state : states) state = state.to(at::kCPU, at::kFloat);  // not before: a replay must not change them
  return states;
}

}  // namespace

TEST_CASE("a step with lengths on the device gives what the plain step gives, row by row") {
  auto model = model::testing::test_model_that_answers();
  const auto expected = hidden_states(*model, plain), got = hidden_states(*model, on_device);
  for (size_t i = 0; i < expected.size(); ++i) CHECK(difference(got[i], expected[i]) < 1e-5);
}

TEST_CASE("steps on the device go on from the position of each row, on all axes, also between whole numbers") {
  const bool between = GENERATE(false, true);
  auto model = model::testing::test_model_that_answers(between ? model::testing::kBetween : model::testing::kGrid);
  const double ahead = between ? 43.5 : 43;
  const auto states = [&](auto step) {
    c10::InferenceMode inference;
    auto cache = model->make_cache(2);
    DecodingSteps steps(*model, cache);
    std::vector<at::Tensor> all;
    for (int64_t row : {0, 1}) CHECK(cache.add_row() == row);
    for (int64_t id = 3; id < 9; ++id) {
      if (id == 6) cache.set_next_position(1, ahead);  // after three tokens
      all.push_back(step(steps, {id, id}, {0, 1}));
    }
    CHECK(cache.next_position(1) == ahead + 3);
    return at::stack(all);
  };
  const auto expected = states(plain), got = states(on_device);
  CHECK(difference(got, expected) < 1e-5);
  const auto rows = got.unbind(1);
  CHECK(difference(rows[0].narrow(0, 0, 3), rows[1].narrow(0, 0, 3)) < 1e-5);
  CHECK(difference(rows[0].narrow(0, 3, 3), rows[1].narrow(0, 3, 3)) > 1e-4);  // farther from what came before
}

TEST_CASE("a full cache is an error") {
  auto model = model::testing::test_model_that_answers();
  CHECK_THROWS_AS(hidden_states(*model, on_device, 2), Error);
  CHECK_THROWS_AS(hidden_states(*model, plain, 2), Error);
}

TEST_CASE("recorded steps on CUDA give what the plain step gives on the CPU, and so do whole answers") {
  if (const auto why = kernels::testing::no_cuda(); !why.empty()) SKIP(why);
  auto model = model::testing::test_model_that_answers();
  const auto expected = hidden_states(*model, plain);
  data::Prepared prompt;
  prompt.ids = {3, 16, 29, 42, 55}, prompt.supervised.resize(5, false);
  const auto answer = generate(*model, {prompt}, {.max_tokens = 12}, {});
  model->load({at::Device("cuda:0"), {}, 1});
  for (const auto& part : model->parts()) part.module->to(at::Device("cuda:0"), at::kFloat);
  const auto got = hidden_states(*model, plain);
  for (size_t i = 0; i < expected.size(); ++i) CHECK(difference(got[i], expected[i]) < 1e-3);
  CHECK(generate(*model, {prompt}, {.max_tokens = 12}, {}) == answer);
}
