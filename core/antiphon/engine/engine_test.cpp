// Texts that join and leave at any time against each on its own.
#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/engine/generator.h>
#include <antiphon/model/test_model.h>

#include <catch2/catch_test_macros.hpp>

#include <random>

using namespace antiphon;
using namespace antiphon::engine;
using Ids = std::vector<int32_t>;

namespace {

const bool quiet = (log::set_level(log::Level::error), true);

data::Prepared prompt(const model::MultimodalLm& model, int64_t first, int64_t length, bool with_media = false) {
  data::Prepared out;
  for (int64_t i = 0; i < length; ++i) out.ids.push_back((first + i * 13) % 300);
  if (with_media) {
    model::BatchMedia media;
    media.stream = "image", media.position = 1, media.content = std::to_string(first);
    media.item = model.streams().at("image")->process(model::testing::test_image(2, 2, static_cast<uint8_t>(first)));
    out.ids.insert(out.ids.begin() + 1, static_cast<size_t>(media.item.tokens), 0);
    out.media.push_back(std::move(media));
  }
  out.supervised.resize(out.ids.size(), false);
  return out;
}

Ids alone(model::MultimodalLm& model, const data::Prepared& prompt, const GenerateOptions& options) {
  return generate(model, {prompt}, options, {}).front();
}

}  // namespace

TEST_CASE("requests that come while others are answered get what they get alone, greedy and drawn") {
  auto lm = model::testing::test_model_that_answers();
  std::mt19937_64 random(3);
  std::vector<std::pair<int64_t, Ids>> expected;
  Engine engine(*lm, 400);  // some have to wait
  int64_t sent = 0;
  for (bool more = true; more || sent < 12;) {
    if (sent < 12 && random() % 2) {
      const auto one = prompt(*lm, 3 + 31 * sent, 1 + static_cast<int64_t>(random() % 40), sent % 3 == 0);
      GenerateOptions options{.max_tokens = 3 + static_cast<int64_t>(random() % 30)};
      if (sent % 2) options.temperature = 3, options.seed = 11;
      if (sent % 5 == 4) options.repetition_penalty = 1.5;
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
