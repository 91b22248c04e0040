// Scores by hand; tests/parity/metrics_parity.py compares them with jiwer.
#include <antiphon/text/answer_scores.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon::text;
using Catch::Approx;

TEST_CASE("word and character errors are edit distances") {
  const auto words = [](const char* predicted, const char* expected) {
    return word_errors(predicted, expected).errors;
  };
  CHECK(words("the cat sat", "the cat sat") == 0);
  CHECK(words("the bat sat", "the cat sat") == 1);
  CHECK(words("cat sat", "the cat sat") == 1);
  CHECK(words("oh the cat sat down", "the cat sat") == 2);
  CHECK(words("", "the cat sat") == 3);
  CHECK(words("a b", "") == 2);
  CHECK(word_errors("a b", "x y z").reference == 3);
  CHECK(character_errors("kitten", "sitting").errors == 3);
  CHECK(character_errors("kitten", "sitting").reference == 7);
  CHECK(character_errors("élan", "elan").errors == 1);
  CHECK(character_errors("日本", "日木").errors == 1);
}

TEST_CASE("token F1 is SQuAD's") {
  CHECK(token_f1("the red bird", "a red bird") == Approx(2.0 / 3));
  CHECK(token_f1("red", "red red") == Approx(2.0 * 1 * 0.5 / 1.5));
  CHECK(token_f1("red red", "red") == Approx(2.0 / 3));
  CHECK(token_f1("", "") == 1);
  CHECK(token_f1("", "red") == 0);
  CHECK(token_f1("blue", "red") == 0);
}
