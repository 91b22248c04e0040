#include <antiphon/base/error.h>
#include <antiphon/data/sample.h>

#include <catch2/catch_test_macros.hpp>

#include <cmath>

using namespace antiphon;
using namespace antiphon::data;

namespace {

// The Error(data) of a record, or "" if it is read.
std::string refusal(const std::string& record) {
  try {
    parse_sample(record, "/data");
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
    const auto sample = parse_sample(record, "/data");
    CHECK(text_of(sample.turns) == "user:<medium>;user:What?;");
    REQUIRE(sample.candidates.size() == 2);
    CHECK(text_of(sample.candidates[0].turns) == "assistant:A cat.;");
    CHECK(text_of(sample.candidates[1].turns) == "assistant:A dog.;");
    CHECK(std::isnan(sample.candidates[0].value));
    REQUIRE(sample.media.size() == 1);
    CHECK(sample.media[0].path == "/data/a.png");
    CHECK(sample.tags.at("task") == "t");
  }
}

TEST_CASE("candidates: any number, with values and other media") {
  const auto sample = parse_sample(
      with_candidates(
          R"([{"content": "A cat.", "score": 4.5}, {"content": [{"type": "text", "text": "A cat."}], "label": false, "media": {"0": "b.png"}},
                          {"messages": [{"role": "assistant", "content": "Hm."}, {"role": "user", "content": "So?"}, {"role": "assistant", "content": "A cow."}]}])"),
      "/data");
  REQUIRE(sample.candidates.size() == 3);
  CHECK(sample.candidates[0].value == 4.5);
  CHECK(sample.candidates[1].value == 0);
  REQUIRE(sample.media.size() == 2);
  CHECK(sample.candidates[1].media == std::map<size_t, size_t>{{0, 1}});
  CHECK(sample.media[1].path == "/data/b.png");
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
      {R"({"prompt": "a", "chosen": "b", "rejected": "c", "messages": []})", "beside turns"},
      {R"({"prompt": "a", "chosen": {"role": "assistant", "content": "b"}, "rejected": "c"})", "neither a text"},
      {R"({"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "chosen": "c", "rejected": "d"})",
       "end with the assistant"}};
  for (const auto& [record, words] : cases) {
    INFO(record);
    CHECK(refusal(record).find(words) != std::string::npos);
  }
}
