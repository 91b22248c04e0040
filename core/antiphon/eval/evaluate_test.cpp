#include <antiphon/eval/evaluate.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;

TEST_CASE("the expected answer is what the last turn says, without a thought before it") {
  Sample sample;
  CHECK(eval::expected_answer(sample).empty());
  sample.turns = {{"user", {{"What?"}}}, {"assistant", {{"<think>hm"}, {"</think>\nred"}}}};
  CHECK(eval::expected_answer(sample) == "red");
  sample.turns.back() = {"assistant", {{"red "}, {"or blue"}}, "hm"};
  CHECK(eval::expected_answer(sample) == "red or blue");
  sample.turns.pop_back();
  CHECK(eval::expected_answer(sample).empty());
}
