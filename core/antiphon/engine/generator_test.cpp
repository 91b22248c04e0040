// Answers against the plain way: the whole sequence is computed anew for each token.
#include <ATen/ATen.h>

#include <antiphon/base/log.h>
#include <antiphon/engine/generator.h>
#include <antiphon/engine/test_prompt.h>
#include <antiphon/model/test_model.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace antiphon;
using namespace antiphon::engine;
using engine::testing::prompt;

namespace {

const bool quiet = (log::set_level(log::Level::error), true);

std::vector<data::Prepared> prompts(const model::MultimodalLm& model) {
  return {prompt(model, 3, 5, true), prompt(model, 40, 1, false), prompt(model, 77, 9, false),
          prompt(model, 5, 2, true)};
}

std::vector<int32_t> plain(model::MultimodalLm& model, data::Prepared prompt, int tokens) {
  c10::AutoGradMode no_grad(false);
  std::vector<int32_t> answer;
  for (int i = 0; i < tokens; ++i) {
    data::give_positions(prompt, model.llm());
    auto batch = data::pack({prompt});
    model.encode(batch);
    const auto hidden = model.forward(batch);
    answer.push_back(model.llm().head_weight().mv(hidden[hidden.size(0) - 1]).argmax().item<int32_t>());
    prompt.ids.push_back(answer.back());
    prompt.supervised.push_back(false);
  }
  return answer;
}

}  // namespace

TEST_CASE("several prompts of several lengths and media give what each gives without a cache") {
  auto lm = model::testing::test_model_that_answers();
  const auto answers = generate(*lm, prompts(*lm), {.max_tokens = 8}, {});
  REQUIRE(answers.size() == 4);
  const auto all = prompts(*lm);
  for (size_t i = 0; i < all.size(); ++i) CHECK(answers[i] == plain(*lm, all[i], 8));
  CHECK(answers[0] != answers[3]);
}

TEST_CASE("if pictures are placed by row and column, answers go on after the largest position, not the last one") {
  auto lm = model::testing::test_model_that_answers(model::testing::kGrid);
  auto all = prompts(*lm);
  all.push_back(prompt(*lm, 11, 1, true));  // ends with the picture
  const auto next = all[0].next_position();
  CHECK(next == all[0].tokens() - 2);  // the picture of 2 x 2 takes two positions
  CHECK(data::pack({all[0]}).positions_at.sizes() == at::IntArrayRef({3, all[0].tokens()}));
  const auto answers = generate(*lm, all, {.max_tokens = 8}, {});
  for (size_t i = 0; i < all.size(); ++i) CHECK(answers[i] == plain(*lm, all[i], 8));
  auto counted = all[0];
  counted.positions_at = at::arange(counted.tokens(), at::kLong).expand({3, counted.tokens()});
  CHECK(generate(*lm, {counted}, {.max_tokens = 8}, {})[0] != answers[0]);
}

TEST_CASE("answers go on between whole numbers after a picture that lies there") {
  auto lm = model::testing::test_model_that_answers(model::testing::kBetween);
  auto all = prompts(*lm);
  all.push_back(prompt(*lm, 11, 1, true));
  CHECK(all[0].positions_at.scalar_type() == at::kFloat);
  CHECK(all[0].next_position() == static_cast<double>(all[0].tokens()) - 2 + 0.25);
  CHECK(data::pack({all[0]}, 64).positions_at.scalar_type() == at::kFloat);  // padding, too
  const auto answers = generate(*lm, all, {.max_tokens = 8}, {});
  for (size_t i = 0; i < all.size(); ++i) CHECK(answers[i] == plain(*lm, all[i], 8));
}

TEST_CASE("an answer ends at a stop token, which is not part of it, or when the caller says so; the others go on") {
  auto lm = model::testing::test_model_that_answers();
  const auto free = generate(*lm, prompts(*lm), {.max_tokens = 8}, {});
  const int32_t stop = free[2][3];
  const auto stopped = generate(*lm, prompts(*lm), {.max_tokens = 8}, {stop});
  for (size_t i = 0; i < free.size(); ++i) {
    const auto end = std::find(free[i].begin(), free[i].end(), stop);
    CHECK(stopped[i] == std::vector<int32_t>(free[i].begin(), end));
  }
  std::vector<int32_t> heard;
  const auto cut = generate(*lm, prompts(*lm), {.max_tokens = 8}, {}, [&](size_t index, int32_t id) {
    if (index == 0) heard.push_back(id);
    return index != 1;
  });
  CHECK(heard == free[0]);
  CHECK(cut[1].size() == 1);
  CHECK(cut[2] == free[2]);
}

TEST_CASE("answers end where the context does, each at its own length; a prompt that fills it is refused") {
  auto lm = model::testing::test_model_that_answers();
  const auto all = prompts(*lm);
  const auto answers = generate(*lm, prompts(*lm), {.max_tokens = 250}, {});
  for (size_t i = 0; i < all.size(); ++i) {
    CHECK(static_cast<int64_t>(answers[i].size()) == std::min<int64_t>(250, 256 - all[i].tokens()));
  }
  CHECK(generate(*lm, {prompt(*lm, 1, 1, false)}, {.max_tokens = 255}, {})[0].size() == 255);
  CHECK_THROWS_AS(generate(*lm, {prompt(*lm, 1, 256, false)}, {.max_tokens = 1}, {}), Error);
}

TEST_CASE("prompt and answer together end at max_length, with beams too; a prompt that has as many is refused") {
  auto lm = model::testing::test_model_that_answers();
  const auto all = prompts(*lm);
  const auto free = generate(*lm, prompts(*lm), {.max_tokens = 20}, {});
  for (const int64_t beams : {1, 3}) {
    const auto answers = generate(*lm, prompts(*lm), {.max_length = 14, .num_beams = beams}, {});
    for (size_t i = 0; i < all.size(); ++i) {
      CHECK(static_cast<int64_t>(answers[i].size()) == 14 - all[i].tokens());
      if (beams == 1) CHECK(std::equal(answers[i].begin(), answers[i].end(), free[i].begin()));
    }
  }
  CHECK(generate(*lm, {all[1]}, {.max_length = 500}, {})[0].size() == 255);  // what is left of the context
  CHECK(generate(*lm, {all[2]}, {.max_tokens = 3, .max_length = 9}, {})[0].size() == 3);
  CHECK(generate(*lm, {all[2]}, {.max_length = 10}, {})[0].size() == 1);
  CHECK_THROWS_WITH(generate(*lm, {all[2]}, {.max_length = 9}, {}),
                    Catch::Matchers::ContainsSubstring("a prompt of 9 tokens leaves no room") &&
                        Catch::Matchers::ContainsSubstring("is 9 for both together"));
}

TEST_CASE("no stop token comes before prompt and answer together have min_length tokens") {
  auto lm = model::testing::test_model_that_answers();
  const auto all = prompts(*lm);
  const int32_t stop = generate(*lm, {all[2]}, {.max_tokens = 1}, {})[0][0];
  CHECK(generate(*lm, {all[2]}, {.max_tokens = 8}, {stop})[0].empty());
  for (const int64_t beams : {1, 2}) {
    const auto answers = generate(*lm, prompts(*lm), {.max_length = 16, .min_length = 15, .num_beams = beams}, {stop});
    for (size_t i = 0; i < all.size(); ++i) CHECK(static_cast<int64_t>(answers[i].size()) >= 15 - all[i].tokens());
  }
}

TEST_CASE("what is not finite is an error, at any temperature") {
  auto lm = model::testing::test_model_that_answers();
  c10::AutoGradMode no_grad(false);
  lm->llm().head_weight()[7][0] = std::nan("");
  for (const double temperature : {0.0, 1.0})
    CHECK_THROWS_AS(generate(*lm, prompts(*lm), {.max_tokens = 2, .temperature = temperature}, {}), Error);
}
