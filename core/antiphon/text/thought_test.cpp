#include <antiphon/text/thought.h>

#include <catch2/catch_test_macros.hpp>

#include <antiphon/text/tokenizer/small_tokenizer_test.h>

using namespace antiphon::text;
using namespace antiphon::text::testing;

namespace {

bool is(const ThoughtAndAnswer& got, const std::string& thought, const std::string& answer) {
  return got.thought == thought && got.answer == answer;
}

Tokenizer with_marks(bool special) {
  auto file = tokenizer_json({}, {"<think>", "</think>"});
  for (auto& token : file["added_tokens"]) token["special"] = special;
  return tokenizer_of(file);
}

}  // namespace

TEST_CASE("a thought is split from the answer after it") {
  CHECK(is(split_thought("<think>\nhm\n</think>\n\nred"), "hm", "red"));
  CHECK(is(split_thought("hm</think> red", /*opened=*/true), "hm", "red"));
  CHECK(is(split_thought("<think>\n\n</think>\n\nred"), "", "red"));
  CHECK(is(split_thought(" red\n"), "", " red\n"));
  CHECK(is(split_thought("red </think> or <think>"), "", "red </think> or <think>"));
  CHECK(is(split_thought("<think>and on and"), "and on and", ""));
  CHECK(is(split_thought("and on", /*opened=*/true), "and on", ""));
}

TEST_CASE("of tokens, whether decoding shows the marks or not") {
  for (const bool special : {false, true}) {
    const auto tokenizer = with_marks(special);
    CHECK(is(split_thought(tokenizer.encode("<think>hm</think>\nred"), tokenizer), "hm", "red"));
    CHECK(is(split_thought(tokenizer.encode("hm</think>red"), tokenizer, true), "hm", "red"));
    CHECK(is(split_thought(tokenizer.encode("<think>hm"), tokenizer), "hm", ""));
    CHECK(is(split_thought(tokenizer.encode("red"), tokenizer), "", "red"));
    CHECK(opens_thought(tokenizer.encode("What?<think>\n"), tokenizer));
    CHECK_FALSE(opens_thought(tokenizer.encode("<think>\n</think>\n"), tokenizer));
    CHECK_FALSE(opens_thought({}, tokenizer));
  }
  const auto plain = chat_tokenizer();
  CHECK(is(split_thought(plain.encode("<think>hm</think>red"), plain), "hm", "red"));
}
