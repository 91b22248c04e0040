// Texts that grow beyond what their model computes as a short one, against passes through all of each text.
#include <ATen/ATen.h>

#include <antiphon/component/long_texts.h>
#include <antiphon/engine/passes.h>
#include <antiphon/engine/test_prompt.h>
#include <antiphon/model/test_model.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::engine;
using engine::testing::prompt;

namespace {

constexpr int64_t kShort = 24;

struct LongOptions {
  int64_t hidden_size = 16;
  bool dynamic = false;
};

// Turns all tokens of texts of more than kShort positions by other frequencies; if it is dynamic, by those of a length.
class LongLm : public backbone::DecoderLm {
 public:
  explicit LongLm(const LongOptions& o) : DecoderLm(options(o)) {}
  NameMap name_map() const override { return {{{"{}", "{}"}}, {}, {}}; }

 private:
  static nn::DecoderOptions options(const LongOptions& o) {
    nn::DecoderOptions d;
    d.vocab_size = 300, d.hidden_size = o.hidden_size, d.intermediate_size = 24, d.num_layers = 2;
    d.num_heads = 2, d.num_kv_heads = 1, d.head_size = 8, d.max_positions = 256;
    d.rope_scaling.type = "longrope", d.rope_scaling.original_max_positions = kShort;
    d.rope_scaling.short_factors = {1, 1, 1, 1}, d.rope_scaling.long_factors = {4, 0.2, 3, 50};
    d.rope_scaling.table_multiplier = 1.2;
    if (o.dynamic) d.rope_scaling = {.type = "dynamic", .factor = 8, .original_max_positions = kShort};
    return d;
  }
};

std::unique_ptr<model::MultimodalLm> long_model(bool dynamic = false) {
  static const bool registered = [] {
    static const auto* table =
        new config::Table<LongOptions>(config::Table<LongOptions>("test_long_lm")
                                           .field("hidden_size", &LongOptions::hidden_size, "width", {.min = 1})
                                           .field("dynamic", &LongOptions::dynamic, "dynamic NTK"));
    plugin::Registrar registrar(plugin::Entry{});
    register_component<LanguageModel, LongLm>(registrar, "test_long_lm", "", *table);
    plugin::Registry::instance().add(registrar.entries());
    return true;
  }();
  static_cast<void>(registered);
  return model::testing::test_model_that_answers(
      (dynamic ? "llm = { plugin = \"test_long_lm\", dynamic = true }\n" : "llm = { plugin = \"test_long_lm\" }\n") +
      std::string(R"(
streams.image = { encoder = { plugin = "test_pixels" }, connector = { plugin = "test_linear" } }
)"));
}

// Every token by a pass through all of the text, which is long or not as a whole.
std::vector<int32_t> by_passes(model::MultimodalLm& model, const data::Prepared& one, const GenerateOptions& options) {
  return answers_by_passes(model, {one}, options, {}, std::nullopt, {}).front().ids;
}

// The prompt by one pass, every token that is written by a step whose keys stay, as of a cache that is never computed
// anew.
std::vector<int32_t> by_steps(model::MultimodalLm& model, const data::Prepared& one, size_t tokens) {
  auto cache = model.make_cache(8);
  const auto row = cache.add_row();
  auto batch = data::pack({one});
  model.encode(batch);
  auto hidden = model.forward(batch, &cache, {row}).slice(0, -1);
  cache.set_next_position(row, one.next_position());
  DecodingSteps steps(model, cache);
  std::vector<int32_t> ids;
  while (ids.size() < tokens) {
    ids.push_back(static_cast<int32_t>(logits_of(model, hidden).argmax().item<int64_t>()));
    hidden = steps({ids.back()}, {row});
  }
  return ids;
}

std::vector<int32_t> written(Engine& engine, int64_t text) {
  while (engine.step()) {
  }
  return engine.take(text).value().ids;
}

}  // namespace

TEST_CASE("answers that outgrow a short text are those of passes through all of it, alone and together") {
  auto lm = long_model();
  Engine engine(*lm, 2000);
  std::vector<std::pair<int64_t, std::vector<int32_t>>> expected;
  for (const int64_t length : {1, 9, 19, 22, 23, 24, 25, 40})
    for (const int64_t beams : {1, 3}) {
      GenerateOptions options{.max_tokens = 14};
      options.num_beams = beams;
      const auto one = prompt(*lm, 5 * length, length, length % 2 == 1);
      expected.emplace_back(engine.submit({one, options}), by_passes(*lm, one, options));
    }
  while (engine.step()) {
  }
  for (const auto& [text, ids] : expected) CHECK(engine.take(text).value().ids == ids);
}

TEST_CASE("a text that outgrows is another one than one whose frequencies stay") {
  auto lm = long_model();
  const auto one = prompt(*lm, 7, 20);
  const auto ids = by_passes(*lm, one, {.max_tokens = 30});
  const auto stayed = by_steps(*lm, one, ids.size());
  CHECK(stayed != ids);
  CHECK(std::equal(ids.begin(), ids.begin() + 4, stayed.begin()));
}

TEST_CASE("a conversation goes on from what is held on the same side of the limit alone") {
  auto lm = long_model();
  Engine engine(*lm, 600);
  const auto text = engine.open(120);
  auto said = prompt(*lm, 3, 10, true);
  CHECK(engine.read(text, said) == said.tokens());
  engine.answer(text, {.max_tokens = 30}, {});
  const auto first = written(engine, text);
  CHECK(first == by_passes(*lm, said, {.max_tokens = 30}));
  for (const auto id : first) append(said, id);
  append(said, 17);
  CHECK(engine.read(text, said) < 4);  // long before and after
  engine.answer(text, {.max_tokens = 5}, {});
  CHECK(written(engine, text) == by_passes(*lm, said, {.max_tokens = 5}));
  const auto shorter = prompt(*lm, 3, 12, true);
  CHECK(engine.read(text, shorter) == shorter.tokens());  // short again: nothing of it is held
  auto longer = shorter;
  while (longer.tokens() < 40) append(longer, 2 * longer.tokens());
  CHECK(engine.read(text, longer) == longer.tokens());
  GenerateOptions beams{.max_tokens = 12};
  beams.num_beams = 2;
  CHECK(engine.read(text, shorter) == shorter.tokens());
  engine.answer(text, beams, {});
  CHECK(written(engine, text) == by_passes(*lm, shorter, beams));
}

TEST_CASE("tokens of short and long texts in one batch turn each as in its own") {
  auto lm = long_model();
  const std::vector<data::Prepared> all{prompt(*lm, 1, 30), prompt(*lm, 2, 24), prompt(*lm, 3, 25), prompt(*lm, 4, 1)};
  std::vector<at::Tensor> alone;
  for (const auto& one : all) {
    auto batch = data::pack({one});
    alone.push_back(lm->forward(batch));
  }
  auto batch = data::pack(std::vector<data::Prepared>(all));
  CHECK(at::allclose(lm->forward(batch), at::cat(alone), 1e-5, 1e-6));
}

TEST_CASE("dynamic: answers that outgrow a short text go on from keys of when it was shorter") {
  auto lm = long_model(true);
  Engine engine(*lm, 2000);
  std::vector<std::pair<int64_t, std::vector<int32_t>>> expected;
  bool differ = false;
  for (const int64_t length : {1, 9, 20, 23, 24, 25, 40}) {
    const auto one = prompt(*lm, 5 * length, length, length % 2 == 1);
    expected.emplace_back(engine.submit({one, {.max_tokens = 30}}), by_steps(*lm, one, 30));
    differ |= expected.back().second != by_passes(*lm, one, {.max_tokens = 30});
  }
  CHECK(differ);
  while (engine.step()) {
  }
  for (const auto& [text, ids] : expected) CHECK(engine.take(text).value().ids == ids);
}

TEST_CASE("dynamic: a prompt goes on from what is held if both are short") {
  auto lm = long_model(true);
  Engine engine(*lm, 600);
  const auto text = engine.open(120);
  auto said = prompt(*lm, 3, 12);
  CHECK(engine.read(text, said) == 12);
  append(said, 7);
  CHECK(engine.read(text, said) == 1);
  while (said.tokens() < 40) append(said, 2 * said.tokens());
  for (int i = 0; i < 2; ++i) {
    CHECK(engine.read(text, said) == 40);  // what is held may be of an answer, whose keys are others
    engine.answer(text, {.max_tokens = 9}, {});
    CHECK(written(engine, text) == by_steps(*lm, said, 9));
  }
}
