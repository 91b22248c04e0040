// Texts that join and leave at any time against each on its own.
#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/engine/generator.h>
#include <antiphon/engine/step.h>
#include <antiphon/engine/test_prompt.h>
#include <antiphon/model/test_model.h>

#include <catch2/catch_test_macros.hpp>

#include <random>
#include <regex>

using namespace antiphon;
using namespace antiphon::engine;
using engine::testing::prompt;
using Ids = std::vector<int32_t>;

namespace {

const bool quiet = (log::set_level(log::Level::error), true);

Ids alone(model::MultimodalLm& model, const data::Prepared& prompt, const GenerateOptions& options) {
  return generate(model, {prompt}, options, {}).front();
}

}  // namespace

TEST_CASE("requests that come while others are answered get what they get alone, greedy and drawn") {
  auto lm = model::testing::test_model_that_answers();
  std::mt19937_64 random(3);
  std::vector<std::pair<int64_t, Ids>> expected;
  Engine engine(*lm, 500);  // some have to wait
  int64_t sent = 0;
  for (bool more = true; more || sent < 12;) {
    if (sent < 12 && random() % 2) {
      const auto one = prompt(*lm, 3 + 31 * sent, 1 + static_cast<int64_t>(random() % 40), sent % 3 == 0);
      GenerateOptions options{.max_tokens = 3 + static_cast<int64_t>(random() % 30)};
      if (sent % 2) options.temperature = 3, options.seed = 11;
      if (sent % 5 == 4) options.repetition_penalty = 1.5;
      if (sent % 4 == 2) options.num_beams = 3;
      expected.emplace_back(engine.submit({one, options}), alone(*lm, one, options));
      ++sent;
    }
    more = engine.step();
  }
  for (const auto& [id, ids] : expected) {
    const auto answer = engine.take(id);
    REQUIRE(answer.has_value());
    CHECK(answer->finish == Finish::length);
    CHECK(answer->ids == ids);
    CHECK_FALSE(engine.take(id).has_value());
  }
}

TEST_CASE("two texts that draw with one seed draw the same: each has random numbers of its own") {
  auto lm = model::testing::test_model_that_answers();
  const GenerateOptions options{.max_tokens = 12, .temperature = 5, .seed = 4};
  const auto one = prompt(*lm, 7, 6);
  const auto answers = generate(*lm, {one, prompt(*lm, 9, 3), one}, options, {});
  CHECK(answers[0] == answers[2]);
  CHECK(answers[0] == alone(*lm, one, options));
}

TEST_CASE("a text whose scores are not finite fails alone") {
  auto lm = model::testing::test_model_that_answers();
  auto broken = prompt(*lm, 7, 6, true);
  for (auto& inputs : broken.media.front().item.inputs)
    for (auto& input : inputs) input.fill_(std::nan(""));
  const auto answers = answers_to(*lm, {prompt(*lm, 9, 3), broken, prompt(*lm, 5, 4)}, {.max_tokens = 5}, {});
  CHECK(answers[1].finish == Finish::failed);
  CHECK_THROWS_AS(std::rethrow_exception(answers[1].failure), Error);
  CHECK(answers[0].ids == alone(*lm, prompt(*lm, 9, 3), {.max_tokens = 5}));
  CHECK(answers[2].ids == alone(*lm, prompt(*lm, 5, 4), {.max_tokens = 5}));
}

TEST_CASE("what fails for another reason than a prompt leaves texts as they were") {
  auto lm = model::testing::test_model_that_answers();
  const GenerateOptions options{.max_tokens = 6, .temperature = 5, .seed = 4};
  const auto one = prompt(*lm, 7, 6), other = prompt(*lm, 9, 3);
  auto broken = prompt(*lm, 5, 4);
  broken.ids.back() = 1 << 20;
  Engine engine(*lm, 500);
  const auto first = engine.submit({one, options});
  CHECK(engine.step());
  const auto bad = engine.submit({broken, options}), last = engine.submit({other, options});
  for (int i = 0; i < 2; ++i) CHECK_THROWS_AS(engine.step(), c10::Error);
  engine.end(bad);
  while (engine.step()) {
  }
  CHECK(engine.take(first)->ids == alone(*lm, one, options));
  CHECK(engine.take(last)->ids == alone(*lm, other, options));
  CHECK(engine.take(bad)->ids.empty());

  SECTION("a listener that throws ends its own answer") {
    const auto ended = engine.submit({one, options, {}, [](int32_t) -> bool { throw std::runtime_error("enough"); }}),
               beside = engine.submit({other, options});
    CHECK_THROWS_AS(engine.step(), std::runtime_error);
    while (engine.step()) {
    }
    CHECK(engine.take(ended)->finish == Finish::failed);
    CHECK(engine.take(beside)->ids == alone(*lm, other, options));
  }
}

TEST_CASE("a step gives each of up to eight texts the bits that it gets alone") {
  const auto toml = std::regex_replace(std::string(model::testing::kTwoStreams), std::regex("\"test_lm\""),
                                       "\"test_lm\", hidden_size = 80");
  auto lm = model::testing::test_model_that_answers(toml);
  REQUIRE(lm->llm().hidden_size() == 80);
  const std::vector<int64_t> lengths{9, 3, 17, 5, 12, 7, 4, 21};
  std::vector<at::Tensor> of_one;
  const auto after = [&](const std::vector<size_t>& texts) {
    auto cache = lm->make_cache(100);
    std::vector<int64_t> rows, ids;
    for (const auto text : texts) {
      rows.push_back(cache.add_row());
      auto batch = data::pack({prompt(*lm, 3 + static_cast<int64_t>(text), lengths[text])});
      lm->forward(batch, &cache, {rows.back()});
      ids.push_back(static_cast<int64_t>(5 + text));
    }
    return DecodingSteps(*lm, cache)(ids, rows);
  };
  const c10::InferenceMode inference;
  for (size_t text = 0; text < lengths.size(); ++text) of_one.push_back(after({text}));
  for (const std::vector<size_t>& texts :
       {std::vector<size_t>{4, 1}, {0, 1, 2}, {7, 6, 5, 4, 3}, {0, 1, 2, 3, 4, 5, 6, 7}}) {
    const auto hidden = after(texts);
    for (size_t i = 0; i < texts.size(); ++i) CHECK(hidden[static_cast<int64_t>(i)].equal(of_one[texts[i]][0]));
  }
}

TEST_CASE("a request that can never fit is refused; one that is ended, waiting or not, leaves its room") {
  auto lm = model::testing::test_model_that_answers();
  Engine engine(*lm, 64);
  CHECK_THROWS_AS(engine.submit({prompt(*lm, 3, 60), {.max_tokens = 20}}), Error);
  const auto first = engine.submit({prompt(*lm, 3, 40), {.max_tokens = 20}});
  const auto second = engine.submit({prompt(*lm, 5, 40), {.max_tokens = 20}});
  const auto third = engine.submit({prompt(*lm, 7, 40), {.max_tokens = 4}});
  for (int i = 0; i < 3; ++i) CHECK(engine.step());
  engine.end(second);
  CHECK(engine.take(second)->finish == Finish::ended);
  engine.end(first);
  CHECK(engine.take(first)->ids.size() == 3);
  while (engine.step()) {
  }
  CHECK(engine.take(third)->ids == alone(*lm, prompt(*lm, 7, 40), {.max_tokens = 4}));
}

// Without a cache: every beam is computed anew for each token.
TEST_CASE("beams are those of whole passes; their rows and blocks are free again, whatever ends them") {
  auto lm = model::testing::test_model_that_answers();
  const GenerateOptions options{.max_tokens = 40, .num_beams = 4, .length_penalty = 0.5};
  const auto one = prompt(*lm, 3, 45, true);
  BeamSearch search(options, {one.ids.begin(), one.ids.end()}, {}, 40, nullptr);
  std::vector<Ids> answers{{}};
  c10::AutoGradMode no_grad(false);
  while (!answers.empty()) {
    std::vector<at::Tensor> hidden;
    for (const auto& answer : answers) {
      auto whole = one;
      whole.ids.insert(whole.ids.end(), answer.begin(), answer.end());
      whole.supervised.resize(whole.ids.size(), false);
      data::give_positions(whole, lm->llm());
      auto batch = data::pack({whole});
      lm->encode(batch);
      hidden.push_back(lm->forward(batch).slice(0, -1));
    }
    std::vector<Ids> next;
    for (const auto& [parent, id] : search.next(logits_of(*lm, at::cat(hidden)))) {
      next.push_back(answers[parent]);
      next.back().push_back(static_cast<int32_t>(id));
    }
    answers = std::move(next);
  }
  const auto expected = std::move(search).best().ids;
  CHECK(expected.size() == 40);
  CHECK(expected != alone(*lm, one, {.max_tokens = 40}));
  CHECK(alone(*lm, one, options) == expected);

  const auto tokens = blocks_for_text(*lm, one.tokens(), one.tokens() + 40, options) * DecoderState::kBlockSize;
  Engine engine(*lm, tokens);  // just enough: what is not given back is missed
  for (int i = 0; i < 3; ++i) {
    const auto ended = engine.submit({one, options});
    for (int step = 0; step < 10; ++step) engine.step();
    engine.end(ended);
    const auto text = engine.submit({one, options});
    while (engine.step()) {
    }
    CHECK(engine.take(text)->ids == expected);
  }
  CHECK_THROWS_AS(Engine(*lm, tokens - DecoderState::kBlockSize).submit({one, options}), Error);
  auto sampled = options;
  sampled.temperature = 1;
  CHECK_THROWS_AS(engine.submit({one, sampled}), Error);
}

TEST_CASE("a text that stays is answered by beams again and again; without room for them it is told") {
  auto lm = model::testing::test_model_that_answers();
  const GenerateOptions options{.max_tokens = 20, .num_beams = 3};
  const auto one = prompt(*lm, 3, 20);
  const auto expected = alone(*lm, one, options);
  Engine engine(*lm, 64 + 3 * 64);
  const auto text = engine.open(64);
  for (int i = 0; i < 3; ++i) {
    engine.read(text, one);
    Ids heard;
    engine.answer(text, options, {}, [&](int32_t id) {
      heard.push_back(id);
      return i < 2 || heard.size() < 4;
    });
    while (engine.step()) {
    }
    const auto answer = engine.take(text);
    CHECK(answer->ids == (i < 2 ? expected : Ids(expected.begin(), expected.begin() + 4)));
    CHECK(answer->finish == (i < 2 ? Finish::length : Finish::ended));
    CHECK(heard == answer->ids);
    CHECK(engine.length(text) == 20);  // the answer of beams is not in the text
  }
  engine.read(text, prompt(*lm, 3, 44));
  engine.answer(text, options, {});  // what the text still holds
  while (engine.step()) {
  }
  CHECK(engine.take(text)->ids.size() == 20);
  Engine small(*lm, 96);
  const auto tight = small.open(64);
  small.read(tight, one);
  CHECK_THROWS_AS(small.answer(tight, options, {}), Error);
  small.answer(tight, {.max_tokens = 20}, {});
  while (small.step()) {
  }
  CHECK(small.take(tight)->ids == alone(*lm, one, {.max_tokens = 20}));
}

TEST_CASE("a text that stays is answered as far as max_length; one that has as many tokens is told and stays") {
  auto lm = model::testing::test_model_that_answers();
  const auto one = prompt(*lm, 3, 20);
  Engine engine(*lm, 64);
  const auto text = engine.open(64);
  engine.read(text, one);
  CHECK_THROWS_AS(engine.answer(text, {.max_length = 20}, {}), Error);
  engine.answer(text, {.max_length = 26}, {});
  while (engine.step()) {
  }
  CHECK(engine.take(text)->ids == alone(*lm, one, {.max_tokens = 6}));
}

TEST_CASE("an answer that was written at other positions than a later prompt gives it is read again") {
  auto lm = model::testing::test_model_that_answers(model::testing::kGrid);
  const auto at = [](std::vector<int64_t> positions, data::Prepared text) {
    text.positions_at = at::tensor(positions, at::kLong).expand({3, text.tokens()});
    return text;
  };
  const auto first = at({0, 1, 40, 3, 4}, prompt(*lm, 3, 5));  // a medium that reaches far, and text after its rows
  const GenerateOptions options{.max_tokens = 4};
  const auto answered = [&](Engine& engine, int64_t text) {
    engine.answer(text, options, {});
    while (engine.step()) {
    }
    return engine.take(text)->ids;
  };
  Engine engine(*lm, 64);
  const auto text = engine.open(64);
  engine.read(text, first);
  const auto answer = answered(engine, text);
  for (const bool moved : {true, false}) {
    auto more = first;
    more.ids.insert(more.ids.end(), answer.begin(), answer.end());
    more.ids.push_back(17);
    more.supervised.resize(more.ids.size(), false);
    more = moved ? at({0, 1, 40, 3, 4, 5, 6, 7, 8, 9}, more) : at({0, 1, 40, 3, 4, 41, 42, 43, 44, 45}, more);
    Engine fresh(*lm, 64), same(*lm, 64);
    const auto alone = fresh.open(64), again = same.open(64);
    same.read(again, first);
    REQUIRE(answered(same, again) == answer);
    fresh.read(alone, more);
    CHECK(same.read(again, more) == (moved ? 5 : 2));  // the last token of an answer was not read yet
    CHECK(answered(same, again) == answered(fresh, alone));
  }
}

TEST_CASE("log-probabilities come with the tokens, of texts that ask for them") {
  auto lm = model::testing::test_model_that_answers();
  Engine engine(*lm, 256);
  const auto with = engine.submit({prompt(*lm, 3, 9), {.max_tokens = 6, .logprobs = 2}});
  const auto without = engine.submit({prompt(*lm, 3, 9), {.max_tokens = 6}});
  while (engine.step()) {
  }
  const auto answer = *engine.take(with);
  REQUIRE(answer.scores.size() == 6);
  for (size_t i = 0; i < 6; ++i) {
    CHECK(answer.scores[i].top.size() == 2);
    CHECK(answer.scores[i].top.front() ==
          std::pair(answer.ids[i], answer.scores[i].logprob));  // the likeliest is taken
    CHECK(answer.scores[i].top.back().second <= answer.scores[i].logprob);
  }
  CHECK(engine.take(without)->scores.empty());
}
