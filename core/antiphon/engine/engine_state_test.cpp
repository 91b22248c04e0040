// Models that keep tensors of a text as a whole, which cannot be cut as keys and values can.
#include <ATen/ATen.h>

#include <antiphon/base/log.h>
#include <antiphon/engine/generator.h>
#include <antiphon/engine/test_prompt.h>
#include <antiphon/model/test_model.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::engine;
using engine::testing::prompt;
using Ids = std::vector<int32_t>;

namespace {

const bool quiet = (log::set_level(log::Level::error), true);
constexpr const char* kSums = R"(
llm = { plugin = "test_lm", sums = true }
streams.image = { encoder = { plugin = "test_pixels" }, connector = { plugin = "test_linear" } }
)";

// Each token by a pass through all of the text.
Ids by_whole_passes(model::MultimodalLm& model, data::Prepared text, int64_t count) {
  c10::AutoGradMode no_grad(false);
  Ids ids;
  for (int64_t i = 0; i < count; ++i) {
    auto batch = data::pack({text});
    model.encode(batch);
    const auto hidden = model.forward(batch).slice(0, -1);
    ids.push_back(static_cast<int32_t>(model.llm().logits(hidden).argmax().item<int64_t>()));
    text.ids.push_back(ids.back());
    text.supervised.push_back(false);
    text.positions_at = at::Tensor();
    data::give_positions(text, model.llm());
  }
  return ids;
}

Ids answered(Engine& engine, int64_t text, const GenerateOptions& options) {
  engine.answer(text, options, {});
  while (engine.step()) {
  }
  return engine.take(text)->ids;
}

data::Prepared more(const model::MultimodalLm& model, data::Prepared text, const Ids& ids) {
  text.ids.insert(text.ids.end(), ids.begin(), ids.end());
  text.supervised.resize(text.ids.size(), false);
  text.positions_at = at::Tensor();
  data::give_positions(text, model.llm());
  return text;
}

}  // namespace

TEST_CASE("a model with tensors of its texts answers as by whole passes, several at once and by beams") {
  auto lm = model::testing::test_model_that_answers(kSums);
  const auto one = prompt(*lm, 3, 9, true), other = prompt(*lm, 5, 4);
  const auto expected = by_whole_passes(*lm, one, 10);
  CHECK(generate(*lm, {one, other}, {.max_tokens = 10}, {}) ==
        std::vector<Ids>{expected, by_whole_passes(*lm, other, 10)});
  auto plain = model::testing::test_model_that_answers();
  CHECK(generate(*plain, {one}, {.max_tokens = 10}, {}).front() != expected);
  const GenerateOptions beams{.max_tokens = 10, .num_beams = 3};
  const auto found = generate(*lm, {one, other}, beams, {});
  CHECK(found[0] == generate(*lm, {one}, beams, {}).front());
}

TEST_CASE("a text goes on from the end of what was read, and from no other place before it") {
  auto lm = model::testing::test_model_that_answers(kSums);
  const GenerateOptions options{.max_tokens = 6};
  const auto first = prompt(*lm, 3, 9);
  Engine engine(*lm, 256);
  const auto text = engine.open(128);
  CHECK(engine.read(text, first) == 9);
  const auto answer = answered(engine, text, options);
  CHECK(answer == by_whole_passes(*lm, first, 6));
  // Another answer to the same: back to the end of the prompt.
  CHECK(engine.read(text, first) == 9);  // nothing is left to tell the next token from but all of it
  CHECK(answered(engine, text, options) == answer);
  // The answer and more: on from what is there.
  const auto longer = more(*lm, first, answer), second = more(*lm, longer, {17, 4, 250});
  CHECK(engine.read(text, second) == 4);  // the last token of an answer was not read yet
  CHECK(answered(engine, text, options) == by_whole_passes(*lm, second, 6));
  // Another second question: back to the end of the first prompt, where the answer begins.
  const auto third = more(*lm, longer, {99});
  CHECK(engine.read(text, third) == 7);
  CHECK(answered(engine, text, options) == by_whole_passes(*lm, third, 6));
  // What differs within the first prompt is read from its begin.
  auto changed = first;
  changed.ids[5] = 250;
  CHECK(engine.read(text, changed) == 9);
  CHECK(answered(engine, text, options) == by_whole_passes(*lm, changed, 6));
  // By keys and values alone it goes on from there.
  auto plain = model::testing::test_model_that_answers();
  Engine cut(*plain, 256);
  const auto same = cut.open(128);
  cut.read(same, first);
  CHECK(cut.read(same, changed) == 4);
}
