// Answers by whole passes are those that are written with a cache of keys and values.
#include <antiphon/engine/passes.h>

#include <ATen/ATen.h>

#include <antiphon/base/log.h>
#include <antiphon/comm/test_group.h>
#include <antiphon/engine/generator.h>
#include <antiphon/engine/test_prompt.h>
#include <antiphon/model/test_model.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::engine;
using engine::testing::prompt;

namespace {

const bool quiet_passes = (log::set_level(log::Level::error), true);

std::vector<data::Prepared> questions(const model::MultimodalLm& model) {
  return {prompt(model, 3, 5, true), prompt(model, 40, 1, false), prompt(model, 77, 9, false),
          prompt(model, 5, 2, true)};
}

void compare(model::MultimodalLm& model, const GenerateOptions& options, const std::vector<int32_t>& stop_ids = {},
             const TogetherWith& together = {}) {
  const auto cached = answers_to(model, questions(model), options, stop_ids);
  const auto passes = answers_by_passes(model, questions(model), options, stop_ids, std::nullopt, together);
  REQUIRE(passes.size() == cached.size());
  for (size_t i = 0; i < cached.size(); ++i) {
    CHECK(passes[i].ids == cached[i].ids);
    CHECK(passes[i].finish == cached[i].finish);
    REQUIRE(passes[i].scores.size() == cached[i].scores.size());
    for (size_t k = 0; k < passes[i].scores.size(); ++k)
      CHECK(std::abs(passes[i].scores[k].logprob - cached[i].scores[k].logprob) < 1e-4);
  }
}

}  // namespace

TEST_CASE("each token by a pass through the whole text: the same answers, stops, scores and beams") {
  for (const char* toml : {model::testing::kTwoStreams, model::testing::kGrid, model::testing::kBetween}) {
    auto lm = model::testing::test_model_that_answers(toml);
    compare(*lm, {.max_tokens = 8, .logprobs = 2});
    const auto free = generate(*lm, questions(*lm), {.max_tokens = 8}, {});
    compare(*lm, {.max_tokens = 8}, {free[2][3]});
    compare(*lm, {.max_tokens = 8, .temperature = 0.7, .seed = 5});
    compare(*lm, {.max_tokens = 6, .repetition_penalty = 1.3, .num_beams = 3});
    compare(*lm, {.max_length = 14, .encoder_no_repeat_ngram_size = 1, .min_length = 12}, {free[2][0]});
  }
}

TEST_CASE("what is not finite is a failure of each answer by passes") {
  auto lm = model::testing::test_model_that_answers();
  c10::AutoGradMode no_grad(false);
  lm->llm().head_weight()[7][0] = std::nan("");
  const auto answers = answers_by_passes(*lm, questions(*lm), {.max_tokens = 2}, {}, std::nullopt, {});
  for (const auto& answer : answers) CHECK((answer.failure && answer.finish == Finish::failed));
}

TEST_CASE("processes that have a language model together write what one writes") {
  CHECK(comm::testing::run_group(2, "member writes with another") == 0);
}

TEST_CASE("member writes with another", "[.]") {
  comm::Group group(comm::testing::my_place());
  auto whole = model::testing::test_model_that_answers();
  const auto expected = generate(*whole, questions(*whole), {.max_tokens = 8}, {});
  for (const bool by_stages : {true, false}) {
    const auto with = group.subgroup(by_stages ? "stages" : "contexts", {0, 1}),
               block = group.subgroup(by_stages ? "pipeline block" : "context block", {0, 1});
    auto lm = model::testing::test_model(model::testing::kTwoStreams, /*load=*/false);
    lm->share(by_stages ? SharedBy{.stages = with.get()} : SharedBy{.contexts = with.get(), .slices = with.get()});
    lm->load({});
    c10::AutoGradMode no_grad(false);
    for (const auto& parameter : lm->llm().module().parameters())
      if (parameter.tensor->size(0) == lm->llm().vocab_size()) parameter.tensor->mul_(30);
    const auto answers = answers_by_passes(*lm, questions(*lm), {.max_tokens = 8}, {}, std::nullopt,
                                           {block.get(), by_stages ? group.size() - 1 : 0});
    for (size_t i = 0; i < expected.size(); ++i) CHECK(answers[i].ids == expected[i]);
  }
  group.wait_for_all();
}
