#include <antiphon/base/error.h>
#include <antiphon/data/prepare.h>
#include <antiphon/data/test_records.h>
#include <antiphon/model/objective_input.h>

#include <catch2/catch_test_macros.hpp>

#include <cmath>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;

namespace {

// The Error(data) of a record, or "" if it is read.
std::string refusal(const std::string& record) {
  try {
    parse_sample(record, "/data", "preference");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.message();
  }
  return {};
}

std::string text_of(const std::vector<SampleTurn>& turns) {
  std::string text;
  for (const auto& turn : turns)
    for (const auto& part : turn.parts) text += turn.role + ":" + (part.media < 0 ? part.text : "<medium>") + ";";
  return text;
}

const std::string kPrompt = R"("messages": [{"role": "user", "content": "<image>What?"}], "images": ["a.png"])";

std::string with_candidates(const std::string& list) { return "{" + kPrompt + ", \"candidates\": " + list + "}"; }

}  // namespace

TEST_CASE("candidates: TRL's pairs, with a prompt of texts or messages, or without one") {
  const std::string texts =
      R"({"prompt": "<image>What?", "image": "a.png", "chosen": "A cat.", "rejected": "A dog.", "task": "t"})";
  const std::string messages =
      R"({"prompt": [{"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What?"}]}],
          "chosen": [{"role": "assistant", "content": "A cat."}], "rejected": [{"role": "assistant", "content": "A dog."}], "task": "t"})";
  const std::string implicit =
      R"({"chosen": [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A cat."}],
          "rejected": [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A dog."}], "image": "a.png", "task": "t"})";
  auto doubled = implicit;  // TRL: the prompt once more, as a text
  doubled.insert(1, R"("prompt": "What?", )");
  for (const auto& record : {texts, messages, implicit, doubled}) {
    const auto sample = parse_sample(record, "/data", "auto", 2);
    CHECK(text_of(sample.turns) == "user:<medium>;user:What?;");
    REQUIRE(sample.candidates.size() == 2);
    CHECK(text_of(sample.candidates[0].turns) == "assistant:A cat.;");
    CHECK(text_of(sample.candidates[1].turns) == "assistant:A dog.;");
    CHECK(std::isnan(sample.candidates[0].value));
    REQUIRE(sample.media.size() == 1);
    CHECK(sample.media[0].bytes == "/data/a.png");
    CHECK(sample.tags.at("task") == "t");
  }
}

TEST_CASE("candidates: any number, with values and other media") {
  const auto sample = parse_sample(
      with_candidates(
          R"([{"content": "A cat.", "score": 4.5}, {"content": [{"type": "text", "text": "A cat."}], "label": false, "media": {"0": "b.png"}},
                          {"messages": [{"role": "assistant", "content": "Hm."}, {"role": "user", "content": "So?"}, {"role": "assistant", "content": "A cow."}]}])"),
      "/data", "auto", 2);
  REQUIRE(sample.candidates.size() == 3);
  CHECK(sample.candidates[0].value == 4.5);
  CHECK(sample.candidates[1].value == 0);
  REQUIRE(sample.media.size() == 2);
  CHECK(sample.candidates[1].media == std::map<size_t, size_t>{{0, 1}});
  CHECK(sample.media[1].bytes == "/data/b.png");
  CHECK(text_of(sample.candidates[2].turns) == "assistant:Hm.;user:So?;assistant:A cow.;");
}

TEST_CASE("candidates: what is refused, and what it is told") {
  const std::pair<std::string, std::string> cases[] = {
      {with_candidates("[]"), "not a list of answers"},
      {with_candidates("7"), "not a list of answers"},
      {with_candidates("[7]"), "not an object"},
      {with_candidates("[{}]"), "either 'content' or 'messages'"},
      {with_candidates(R"([{"content": "a", "messages": []}])"), "either 'content' or 'messages'"},
      {with_candidates(R"([{"messages": []}])"), "does not end with what the assistant says"},
      {with_candidates(R"([{"messages": "a"}, {"messages": 7}])"), "neither a text nor a list"},
      {with_candidates(R"([{"content": "a"}, {"content": "a"}])"), "say the same"},
      {with_candidates(R"([{"content": "a", "score": "high"}])"), "neither a number nor true or false"},
      {with_candidates(R"([{"content": "a", "media": ["b.png"]}])"), "not an object"},
      {with_candidates(R"([{"content": "a", "media": "b.png"}])"), "not an object"},
      {with_candidates(R"([{"content": "a", "media": {"1": "b.png"}}])"), "from 0 to 0"},
      {with_candidates(R"([{"content": "a", "media": {"": "b.png"}}])"), "expected the number"},
      {with_candidates(R"([{"content": "a", "media": {"-1": "b.png"}}])"), "expected the number"},
      {with_candidates(R"([{"content": "a", "media": {"0": 7}}])"), "expected the number"},
      {with_candidates(R"([{"content": "a", "image": "b.png"}])"), "may name media"},
      {with_candidates(R"([{"content": "a", "media": {"0": "b.png", "1": "c.png"}}])"), "from 0 to 0"},
      {with_candidates(R"([{"content": "a", "media": {"99999999999999999999999": "b.png"}}])"), "expected the number"},
      {with_candidates(R"([{"content": "a", "score": 1}, {"content": "b", "score": 5}])"),
       "larger score than the first"},
      {R"({"prompt": "a", "chosen": "b", "rejected": "c", "candidates": [{"content": "d"}]})", "beside 'candidates'"},
      {R"({"prompt": "a", "chosen": "b"})", "only one of"},
      {R"({"chosen": "b", "rejected": "c"})", "has no 'prompt'"},
      {R"({"prompt": "a", "chosen": "b", "rejected": "b"})", "say the same"},
      {R"({"prompt": "a", "chosen": {"role": "assistant", "content": "b"}, "rejected": "c"})", "neither a text"},
      {R"({"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "chosen": "c", "rejected": "d"})",
       "end with the assistant"},
      {R"({"prompt": [3], "chosen": "b", "rejected": "c"})", "an element of 'prompt' is not an object"},
      {R"({"prompt": "a", "chosen": "b", "rejected": "c", "candidates": 7, "sound": "a.wav"})", "may name media"}};
  for (const auto& [record, words] : cases) {
    INFO(record);
    CHECK(refusal(record).find(words) != std::string::npos);
  }
}

TEST_CASE("candidates: a record that has both is read as the objective asks") {
  const std::string both =  // as ultrafeedback has it
      R"({"prompt": "What?", "messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "A cat."}],
          "chosen": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "A cat."}],
          "rejected": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "A dog."}], "task": "t"})";
  const auto learnt = parse_sample(both, "/", "auto", 1), compared = parse_sample(both, "/", "auto", 2);
  CHECK(text_of(learnt.turns) == "user:What?;assistant:A cat.;");
  CHECK(learnt.candidates.empty());
  CHECK(text_of(compared.turns) == "user:What?;");
  CHECK(compared.candidates.size() == 2);
  for (const auto& sample : {learnt, compared}) CHECK(sample.tags == std::map<std::string, std::string>{{"task", "t"}});
  CHECK(text_of(parse_sample(both, "/", "preference").turns) == text_of(compared.turns));
  CHECK(text_of(parse_sample(both, "/", "messages", 2).turns) == text_of(learnt.turns));
}

TEST_CASE("candidates: metadata under their names is none") {
  const std::string turns =
      R"("messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "A cat."}])";
  for (const std::string more : {R"("chosen": true)", R"("candidates": ["a"])", R"("rejected": null, "chosen": 3)"})
    for (const int64_t candidates : {1, 2}) {
      const auto sample = parse_sample("{" + turns + ", " + more + "}", "/", "auto", candidates);
      CHECK(text_of(sample.turns) == "user:What?;assistant:A cat.;");
      CHECK(sample.candidates.empty());
    }
}

TEST_CASE("candidates: a question with answers beside it is for objectives that compare, and told to others") {
  const auto record = with_candidates(R"([{"content": "a"}, {"content": "b"}])");
  for (const int64_t candidates : {1, 2}) CHECK(parse_sample(record, "/", "auto", candidates).candidates.size() == 2);
}

TEST_CASE("candidates: thoughts and media tell answers apart") {
  const auto turn = [](const std::string& more, const std::string& text = "A cat.") {
    return R"({"role": "assistant", "content": ")" + text + "\"" + more + "}";
  };
  const auto pair = [](const std::string& chosen, const std::string& rejected) {
    return R"({"prompt": [{"role": "user", "content": "What?"}], "chosen": [)" + chosen + R"(], "rejected": [)" +
           rejected + "]}";
  };
  const auto hm = R"(, "reasoning_content": "Hm.")", oh = R"(, "reasoning_content": "Oh.")";
  CHECK(refusal(pair(turn(hm), turn(oh))).empty());
  CHECK(refusal(pair(turn(hm), turn(""))).empty());
  CHECK(refusal(pair(turn(hm), turn(hm))).find("say the same") != std::string::npos);
  const auto asked = [&](const std::string& image) {
    return turn("") + R"(, {"role": "user", "content": [{"type": "image", "image": ")" + image + "\"}]}, " + turn("");
  };
  CHECK(refusal(pair(asked("a.png"), asked("b.png"))).empty());
  CHECK(refusal(pair(asked("a.png"), asked("a.png"))).find("say the same") != std::string::npos);
  const auto heard = [&](const std::string& offset) {
    return turn("") + R"(, {"role": "user", "content": [{"type": "audio", "audio": "a.wav", "offset": )" + offset +
           "}]}, " + turn("");
  };
  CHECK(refusal(pair(heard("1"), heard("2"))).empty());
  CHECK(refusal(pair(heard("1"), heard("1"))).find("say the same") != std::string::npos);
}

TEST_CASE("candidates: their scores, groups and lengths reach the objective, in whatever batch they are") {
  const auto made = [](const std::string& id, int64_t answer, double value) {
    Prepared one;
    one.id = id, one.ids = {1, 2, 3, 4, 5, 6}, one.value = value;
    one.supervised.assign(one.ids.size(), false);
    for (int64_t i = 0; i < answer; ++i) one.supervised[one.ids.size() - 1 - static_cast<size_t>(i)] = true;
    return one;
  };
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  const auto batch = pack(
      std::vector<PreparedGroup>{{{made("a", 2, 4.5), made("b", 3, 0)}}, {{made("c", 1, nan), made("d", 4, -1)}}}, 64);
  StepTotals totals;
  model::add_to(totals, batch), model::add_to(totals, batch);
  const auto input = model::objective_input(batch, totals);
  CHECK(input.counts == std::vector<int64_t>{2, 3, 1, 4});
  CHECK(input.groups == std::vector<int64_t>{2, 2});
  CHECK(input.weights == std::vector<double>(4, 1));
  REQUIRE(input.values.size() == 4);
  CHECK((input.values[0] == 4.5 && input.values[1] == 0 && std::isnan(input.values[2]) && input.values[3] == -1));
  CHECK(input.totals.tokens == 20);
  CHECK(input.totals.sequences == 8);
  CHECK(input.totals.groups == 4);
  CHECK(input.totals.preferred_tokens == 6);
}
