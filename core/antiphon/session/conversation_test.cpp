// A conversation against answers that compute everything anew.
#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/engine/generator.h>
#include <antiphon/model/test_model.h>
#include <antiphon/session/conversation.h>

#include <antiphon/text/tokenizer/small_tokenizer_test.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace antiphon;
using namespace antiphon::session;
using Ids = std::vector<int64_t>;

namespace {

const bool quiet = (log::set_level(log::Level::error), true);

const char* kChunked = R"(
llm = { plugin = "test_lm" }
streams.audio = { encoder = { plugin = "test_chunks" }, connector = { plugin = "test_linear" } }
)";

// Text ids; a negative one, -n, is an image of four vectors that begins with the value n.
data::Prepared prompt(const model::MultimodalLm& model, const Ids& ids) {
  data::Prepared out;
  for (const int64_t id : ids) {
    if (id >= 0) {
      out.ids.push_back(id);
      continue;
    }
    model::BatchMedia media;
    media.stream = "image", media.content = std::to_string(id), media.position = out.tokens();
    media.item = model.streams().at("image")->process(model::testing::test_image(2, 2, static_cast<uint8_t>(-id)));
    out.ids.resize(out.ids.size() + static_cast<size_t>(media.item.tokens), 0);
    out.media.push_back(std::move(media));
  }
  out.supervised.resize(out.ids.size(), false);
  data::begin_with_prompt(out, model.prompt_tokens());
  data::give_positions(out, model.llm());
  return out;
}

std::vector<int32_t> answer(Conversation& conversation, int64_t max_tokens, const std::vector<int32_t>& stop = {}) {
  conversation.begin_answer({.max_tokens = max_tokens}, stop);
  std::vector<int32_t> ids;
  while (const auto id = conversation.next()) ids.push_back(*id);
  return ids;
}

std::vector<int32_t> anew(model::MultimodalLm& model, const Ids& ids, const std::vector<int32_t>& stop = {}) {
  return engine::generate(model, {prompt(model, ids)}, {.max_tokens = 6}, stop).front();
}

Ids with(Ids ids, const std::vector<int32_t>& answer, const Ids& more) {
  ids.insert(ids.end(), answer.begin(), answer.end());
  ids.insert(ids.end(), more.begin(), more.end());
  return ids;
}

}  // namespace

TEST_CASE("each turn answers as if all were computed anew, and computes what is new") {
  auto lm = model::testing::test_model_that_answers();
  Conversation conversation(*lm, 200);
  const Ids first{5, -1, 9, 11};
  CHECK(conversation.prefill(prompt(*lm, first)) == 7);
  const auto first_answer = answer(conversation, 6);
  CHECK(first_answer == anew(*lm, first));
  // The last token of an answer was not read by the model yet.
  const auto second = with(first, first_answer, {21, -2, 23});
  CHECK(conversation.prefill(prompt(*lm, second)) == 1 + 1 + 4 + 1);
  CHECK(answer(conversation, 6) == anew(*lm, second));
  // The same prompt again: its last token, whose place the answer has taken; and nothing if none was begun.
  CHECK(conversation.prefill(prompt(*lm, second)) == 1);
  CHECK(conversation.prefill(prompt(*lm, second)) == 0);
  CHECK(answer(conversation, 6) == anew(*lm, second));
}

TEST_CASE("what a conversation goes on from is placed by row and column as in one piece, also between whole numbers") {
  auto lm = model::testing::test_model_that_answers(GENERATE(model::testing::kGrid, model::testing::kBetween));
  Conversation conversation(*lm, 200);
  Ids ids{3, -9, 16};
  conversation.prefill(prompt(*lm, ids));
  for (const Ids& more : {Ids{29, -40}, Ids{-9, 42, 55}, Ids{7}}) {
    const auto said = answer(conversation, 6);
    CHECK(said == anew(*lm, ids));
    ids = with(ids, said, more);
    CHECK(conversation.prefill(prompt(*lm, ids)) < static_cast<int64_t>(ids.size()));
  }
  CHECK(answer(conversation, 6) == anew(*lm, ids));
  const Ids cut(ids.begin(), ids.begin() + 5);  // back to before a picture
  conversation.prefill(prompt(*lm, cut));
  CHECK(answer(conversation, 6) == anew(*lm, cut));
}

TEST_CASE("a picture whose embeddings see each other is never cut by what a conversation goes on from") {
  auto lm = model::testing::test_model_that_answers(model::testing::kMedia);
  Conversation conversation(*lm, 200);
  Ids ids{3, 17, -9, 16};
  conversation.prefill(prompt(*lm, ids));
  for (const Ids& more : {Ids{29, -40}, Ids{-9, 42, 55}, Ids{7}}) {
    const auto said = answer(conversation, 6);
    CHECK(said == anew(*lm, ids));
    ids = with(ids, said, more);
    CHECK(conversation.prefill(prompt(*lm, ids)) < static_cast<int64_t>(ids.size()));
  }
  CHECK(answer(conversation, 6) == anew(*lm, ids));
  Ids other = ids;
  other[2] = -11;  // another picture
  conversation.prefill(prompt(*lm, other));
  CHECK(answer(conversation, 6) == anew(*lm, other));
  conversation.prefill(prompt(*lm, {3, 17, -11}));  // it ends with the picture, and was held
  CHECK(answer(conversation, 6) == anew(*lm, {3, 17, -11}));
}

TEST_CASE("virtual tokens are read once, before all turns") {
  auto lm = model::testing::test_model_that_answers(
      "llm = { plugin = \"test_lm\", peft = [{ plugin = \"test_prompt\" }] }\n" +
      std::string(
          "streams.image = { encoder = { plugin = \"test_pixels\" }, connector = { plugin = \"test_linear\" } }"));
  Conversation conversation(*lm, 200);
  CHECK(conversation.prefill(prompt(*lm, {5, -1, 9})) == 3 + 6);
  const auto first = answer(conversation, 6);
  CHECK(first == anew(*lm, {5, -1, 9}));
  const auto second = with({5, -1, 9}, first, {21, 23});
  CHECK(conversation.prefill(prompt(*lm, second)) == 3);
  CHECK(answer(conversation, 6) == anew(*lm, second));
  CHECK(conversation.prefill(prompt(*lm, {6})) == 1);
  CHECK(answer(conversation, 6) == anew(*lm, {6}));
}

TEST_CASE("what changed in earlier turns is computed again: text, and another picture in the same place") {
  auto lm = model::testing::test_model_that_answers();
  Conversation conversation(*lm, 200);
  conversation.prefill(prompt(*lm, {5, -1, 9, 11, 13}));
  answer(conversation, 6);
  for (const auto& [changed, computed] : std::vector<std::pair<Ids, int64_t>>{{{5, -1, 9, 12, 13}, 2},
                                                                              {{5, -2, 9, 12, 13}, 7},
                                                                              {{5, -2, 9}, 1},
                                                                              {{5, -2}, 4},
                                                                              {{6, -2}, 5},
                                                                              {{6}, 1},
                                                                              {{6, -2, 8}, 5}}) {
    CHECK(conversation.prefill(prompt(*lm, changed)) == computed);
    CHECK(answer(conversation, 6) == anew(*lm, changed));
  }
}

TEST_CASE("an answer ends at a stop token or when the caller says so; the next turn goes on from there") {
  auto lm = model::testing::test_model_that_answers();
  Conversation conversation(*lm, 200);
  const Ids ids{3, 4, 7};
  const auto free = anew(*lm, ids);
  conversation.prefill(prompt(*lm, ids));
  CHECK(answer(conversation, 6, {free[2]}) == anew(*lm, ids, {free[2]}));
  conversation.prefill(prompt(*lm, ids));
  conversation.begin_answer({.max_tokens = 6}, {});
  const std::vector<int32_t> cut{*conversation.next(), *conversation.next()};
  CHECK(cut == std::vector<int32_t>(free.begin(), free.begin() + 2));
  const auto next = with(ids, cut, {42, 43});
  conversation.prefill(prompt(*lm, next));
  CHECK(answer(conversation, 6) == anew(*lm, next));
}

TEST_CASE("answers of beams, and answers that a text ends; the conversation goes on after both") {
  auto lm = model::testing::test_model_that_answers();
  const engine::GenerateOptions beams{.max_tokens = 6, .num_beams = 3};
  const auto tokenizer = text::testing::chat_tokenizer();
  Conversation conversation(*lm, 200, beams, tokenizer);
  const auto said = [&](const engine::GenerateOptions& options) {
    conversation.begin_answer(options, {});
    std::vector<int32_t> ids;
    while (const auto id = conversation.next()) ids.push_back(*id);
    return ids;
  };
  conversation.prefill(prompt(*lm, {5, 6, 7}));
  const auto first = said(beams);
  CHECK(first == engine::generate(*lm, {prompt(*lm, {5, 6, 7})}, beams, {}).front());
  const auto next = with({5, 6, 7}, first, {9});
  conversation.prefill(prompt(*lm, next));
  const auto second = said({.max_tokens = 6});
  CHECK(second == anew(*lm, next));
  size_t end = 0;  // the first token with a text of its own
  while (end < second.size() && tokenizer.bytes_of(second[end]).empty()) ++end;
  REQUIRE(end < second.size());
  conversation.prefill(prompt(*lm, next));
  CHECK(said({.max_tokens = 6, .stop = {tokenizer.bytes_of(second[end])}}) ==
        std::vector<int32_t>(second.begin(), second.begin() + static_cast<long>(end) + 1));
}

TEST_CASE("of a sound in parts, what is new is computed, and what is gone is taken back") {
  auto lm = model::testing::test_model_that_answers(kChunked);
  Conversation conversation(*lm, 200);
  const auto sound = [&](int64_t vectors) {
    data::Prepared out;
    model::BatchMedia media;
    media.stream = "audio", media.position = 2;
    media.item = lm->streams().at("audio")->process(model::testing::test_sound(vectors, 0.1F));
    for (size_t k = 0; k < media.item.part_tokens.size(); ++k)
      media.part_contents.push_back(std::to_string(k) + ":" + std::to_string(media.item.part_tokens[k]));
    out.ids.assign(static_cast<size_t>(4 + media.item.tokens), 0);
    out.ids[0] = 5, out.ids[1] = 6, out.ids[out.ids.size() - 2] = 7, out.ids.back() = 8;
    out.supervised.resize(out.ids.size(), false);
    out.media.push_back(std::move(media));
    return out;
  };
  for (const auto& [vectors, computed] :
       std::vector<std::pair<int64_t, int64_t>>{{2, 6}, {4, 4}, {5, 3}, {6, 4}, {10, 6}, {9, 3}, {3, 3}, {1, 3}}) {
    CAPTURE(vectors);
    CHECK(conversation.prefill(sound(vectors)) == computed);
    CHECK(answer(conversation, 6) == engine::generate(*lm, {sound(vectors)}, {.max_tokens = 6}, {}).front());
  }
}

TEST_CASE("a conversation that is full says so and stays as it was; reset empties it") {
  auto lm = model::testing::test_model_that_answers();
  Conversation conversation(*lm, 8);
  CHECK_THROWS_AS(answer(conversation, 2), Error);
  conversation.prefill(prompt(*lm, {1, 2, 3, 4}));
  CHECK_THROWS_AS(conversation.prefill(prompt(*lm, {1, 2, 3, 4, 5, 6, 7, 8, 9})), Error);
  CHECK(conversation.length() == 4);
  CHECK(answer(conversation, 9).size() == 4);  // as many as it still holds
  conversation.prefill(prompt(*lm, {1, 2, 3, 4, 5, 6, 7, 8}));
  CHECK_THROWS_WITH(answer(conversation, 2), Catch::Matchers::ContainsSubstring("the conversation is full: 8 tokens"));
  conversation.reset();
  CHECK(conversation.length() == 0);
  CHECK(conversation.prefill(prompt(*lm, {1, 2, 3, 4})) == 4);
  CHECK(Conversation(*lm, 100000).capacity() == 256);  // the model's context
}

TEST_CASE("a last token is forced where the conversation is full, if that is before max_tokens") {
  auto lm = model::testing::test_model_that_answers();
  Conversation conversation(*lm, 8);
  conversation.prefill(prompt(*lm, {1, 2, 3, 4}));
  const auto free = answer(conversation, 4);
  const int32_t last = free[3] == 40 ? 41 : 40;
  for (const int64_t max_tokens : {4, 9}) {
    conversation.prefill(prompt(*lm, {1, 2, 3, 4}));
    conversation.begin_answer({.max_tokens = max_tokens, .forced_eos_token_id = {last}}, {});
    std::vector<int32_t> ids;
    while (const auto id = conversation.next()) ids.push_back(*id);
    CHECK(ids == std::vector<int32_t>{free[0], free[1], free[2], last});
  }
}

TEST_CASE("conversations and requests over one engine do not notice each other") {
  auto lm = model::testing::test_model_that_answers();
  engine::Engine engine(*lm, 320);
  Conversation one(engine, 96), other(engine, 96);
  CHECK_THROWS_AS(Conversation(engine, 200), Error);
  one.prefill(prompt(*lm, {5, -1, 9, 11}));
  one.begin_answer({.max_tokens = 6}, {});
  other.prefill(prompt(*lm, {50, 63, 76, 89, 102}));
  std::vector<int32_t> said{*one.next()}, heard;
  const auto request = engine.submit({prompt(*lm, {77, 90, 103}), {.max_tokens = 6}});
  other.begin_answer({.max_tokens = 6}, {});
  while (const auto id = other.next()) heard.push_back(*id);
  while (const auto id = one.next()) said.push_back(*id);
  while (engine.step()) {
  }
  CHECK(said == anew(*lm, {5, -1, 9, 11}));
  CHECK(heard == anew(*lm, {50, 63, 76, 89, 102}));
  CHECK(engine.take(request)->ids == anew(*lm, {77, 90, 103}));
}
