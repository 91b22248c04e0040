// Answers that the model writes: their prompts as the loader draws them, and what is learnt of them.
#include <ATen/ATen.h>

#include <antiphon/data/test_loader.h>
#include <antiphon/model/objective_input.h>
#include <antiphon/model/split_batch.h>

#include <catch2/catch_test_macros.hpp>

#include <cmath>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;

namespace {

constexpr AnswerRoom kRoom{3, 10};

struct PromptLoader {
  explicit PromptLoader(const std::string& records, int64_t budget = 256)
      : loader(
            setup.options({{records, 1}}), setup.preparer, budget, 1,
            [this](const BadSample& bad) { setup.listed.push_back(bad); }, 1, {}, kRoom) {}
  Setup setup;
  Loader loader;
};

std::vector<int64_t> numbers(const at::Tensor& list) {
  return {list.const_data_ptr<int64_t>(), list.const_data_ptr<int64_t>() + list.numel()};
}

}  // namespace

TEST_CASE("written answers: a batch has the prompts whose answers have room in it, with their records") {
  PromptLoader made(lines("a", 12));
  int64_t groups_of_first = 0;
  for (int i = 0; i < 4; ++i) {
    const auto groups = made.loader.next_groups(0);
    int64_t tokens = 0;
    for (const auto& group : groups) {
      REQUIRE((group.sequences.size() == 1 && group.record));
      const auto& prompt = group.sequences.front();
      CHECK(prompt.ids == made.setup.preparer.prepare(*group.record, Purpose::generation).ids);
      CHECK(prompt.supervised_count() == 0);
      CHECK(group.tokens() == 3 * (prompt.tokens() + 10));
      CHECK(group.record->turns.back().role == "assistant");  // the expected answer, for who scores
      const auto longest = longest_answers(group, made.setup.model->llm());
      CHECK((longest.sequences.size() == 3 && longest.tokens() == group.tokens()));
      tokens += group.tokens();
    }
    CHECK((tokens > 0 && tokens <= 256));
    if (i == 0) groups_of_first = std::ssize(groups);
  }
  CHECK(groups_of_first > 1);
  CHECK(made.loader.draw_settings().find("3 answers of up to 10 tokens") != std::string::npos);
}

TEST_CASE("written answers: a prompt is bad whose answers have no room, in a batch or in the model's context") {
  PromptLoader batch(line("long", std::string(60, 'z')) + line("good", "z"), 150);
  CHECK(batch.loader.next_groups(0).front().record->id == "good");
  for (int i = 0; i < 3 && batch.setup.listed.empty(); ++i) batch.loader.next_groups(0);
  REQUIRE(batch.setup.listed.size() == 1);
  CHECK(batch.setup.listed.front().reason.find("3 answers of up to 10") != std::string::npos);
  PromptLoader context(line("long", std::string(195, 'z')) + line("good", "z"), 4096);
  CHECK(context.loader.next_groups(0).front().record->id == "good");
  for (int i = 0; i < 3 && context.setup.listed.empty(); ++i) context.loader.next_groups(0);
  REQUIRE(context.setup.listed.size() == 1);
  CHECK(context.setup.listed.front().reason.find("at most 200 fit") != std::string::npos);
}

TEST_CASE("written answers: their ids are learnt as they were drawn, with what the policy gave them") {
  PromptLoader made(lines("a", 2));
  auto groups = made.loader.next_groups(0);
  groups.resize(2);
  for (auto& group : groups) {
    const auto prompt = std::exchange(group.sequences, {}).front();
    group.record.reset();
    for (int64_t k = 0; k < 2; ++k) {
      auto& sequence = group.sequences.emplace_back(answered(prompt, {5, 6 + k}, made.setup.model->llm()));
      CHECK(sequence.tokens() == prompt.tokens() + 2);
      sequence.behaviour = {-1.0f, -2.0f - static_cast<float>(k)};
      sequence.value = static_cast<double>(k), sequence.weight = static_cast<double>(k);
    }
  }
  const auto batch = pack(groups, 16);
  CHECK(numbers(batch.labels_n) == std::vector<int64_t>{5, 6, 5, 7, 5, 6, 5, 7});
  CHECK(numbers(batch.ids_t.index_select(0, batch.supervised_n + 1)) == numbers(batch.labels_n));
  StepTotals totals;
  model::add_to(totals, batch);
  CHECK((totals.groups == 2 && totals.sequences == 2 && totals.tokens == 4));  // of weight 1
  const auto input = model::objective_input(batch, totals);
  CHECK(at::equal(input.behaviour_n, at::tensor({-1, -2, -1, -3, -1, -2, -1, -3}, at::kFloat)));
  CHECK(input.weights == std::vector<double>{0, 1, 0, 1});
  CHECK(input.values == input.weights);
  const auto halves = model::halves_of(batch);
  REQUIRE(halves);
  CHECK(at::equal(at::cat({halves->first.behaviour_n, halves->second.behaviour_n}), batch.behaviour_n));
  groups.front().sequences.front().behaviour.pop_back();
  CHECK_THROWS(pack(groups));
}
