#include "error_rate.h"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cmath>

using namespace antiphon;
using Catch::Approx;

namespace {

double score(const char* unit, std::string_view text, std::string_view expected) {
  const Sample sample;
  return error_rate::ErrorRate({.unit = unit}).score(std::vector<WrittenAnswer>{{sample, expected, text}}).at(0);
}

}  // namespace

TEST_CASE("error_rate: one less the word error rate, and never below 0") {
  CHECK(score("word", "The cat sat.", "the cat sat") == 1);
  CHECK(score("word", "the bat sat", "the cat sat") == Approx(2.0 / 3));     // a substitution
  CHECK(score("word", "cat", "the cat sat") == Approx(1.0 / 3));             // two deletions
  CHECK(score("word", "oh the cat sat", "the cat sat") == Approx(2.0 / 3));  // an insertion
  CHECK(score("word", "", "the cat sat") == 0);
  CHECK(score("word", "one two three four five", "cat") == 0);  // five errors of one word
}

TEST_CASE("error_rate: of characters, spaces among them") {
  CHECK(score("character", "kitten", "sitting") == Approx(4.0 / 7));
  CHECK(score("character", "日木", "日本") == Approx(0.5));
  CHECK(score("character", "a b", "ab") == Approx(0.5));
}

TEST_CASE("error_rate: an expected answer without words cannot be judged") {
  for (const char* unit : {"word", "character"})
    for (const char* expected : {"", "...", " "}) CHECK(std::isnan(score(unit, "a cat", expected)));
}
