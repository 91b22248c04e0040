// Scores by hand; tests/parity/metrics_parity.py compares them with jiwer and sacrebleu.
#include <antiphon/eval/bleu.h>
#include <antiphon/eval/chrf.h>
#include <antiphon/eval/metrics.h>
#include <antiphon/eval/normalizer.h>
#include <antiphon/eval/rouge.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <numeric>
#include <random>

using namespace antiphon::eval;
using Catch::Approx;

namespace {
bool exact_match(const char* predicted, const char* expected) {
  return normalize_answer(predicted) == normalize_answer(expected);
}
}  // namespace

TEST_CASE("answers are compared in lower case, without punctuation and extra white space") {
  CHECK(normalize_answer("  A red\tBird!\n") == "a red bird");
  CHECK(normalize_answer("It's 3.5 km") == "its 35 km");
  CHECK(normalize_answer("ÀÉÎÕÜ Ñandú ÇA") == "àéîõü ñandú ça");
  CHECK(normalize_answer("ŁÓDŹ Ångström ŽLUTÝ") == "łódź ångström žlutý");
  CHECK(normalize_answer("ΑΒΓ ДОМ Ёлка") == "αβγ дом ёлка");
  CHECK(normalize_answer("“quoted” – «dash»…") == "quoted dash");
  CHECK(normalize_answer("日本。東京、") == "日本東京");
  CHECK(exact_match("你好世界", "你好，世界！"));
  CHECK(exact_match("việt nam đẹp lắm", "VIỆT NAM ĐẸP LẮM"));
  CHECK(exact_match("यह किताब है", "यह किताब है।"));
  CHECK(normalize_answer("ΟΔΥΣΣΕΥΣ ΣΑΣ") == "οδυσσευς σας");  // a final sigma
  CHECK(normalize_answer("İSTANBUL STRASSE ẞ") == "i̇stanbul strasse ß");
  CHECK(normalize_answer("مرحبا، كيف حالك؟") == "مرحبا كيف حالك");
  CHECK(normalize_answer("ＦＵＬＬ　ｗｉｄｔｈ！") == "ｆｕｌｌ ｗｉｄｔｈ");
  CHECK(normalize_answer("5 € + 😀") == "5 € + 😀");  // symbols are not punctuation
  CHECK(normalize_answer("...!?") == "");
  CHECK(normalize_answer("") == "");
  CHECK(normalize_answer("\xff broken \xc3") != "");
  CHECK(exact_match("The  Cat.", "the cat"));
  CHECK(normalize_answer("Hello, [noise] (laughs) World! ½ € café", "whisper") == "hello world 1 2 café");
  CHECK(normalize_answer("(a) [b] <c> ()d) यह है।", "whisper") == "d यह ह");
  CHECK_FALSE(exact_match("the cats", "the cat"));
  CHECK(exact_match("", "..."));
}

TEST_CASE("chrF at its ends") {
  CHECK(chrf("a red bird", "a red bird") == Approx(100));
  CHECK(chrf("xyz", "abc") == 0);
  CHECK(chrf("", "abc") == 0);
  CHECK(chrf("abc", "") == 0);
  CHECK(chrf("ab c", "a bc") == Approx(100));  // white space does not count
}

TEST_CASE("BLEU and ROUGE at their ends") {
  const auto of = [](const char* predicted, const char* expected) {
    return bleu(bleu_counts(predicted, expected, "13a"));
  };
  CHECK(of("the cat sat on the mat.", "the cat sat on the mat.") == Approx(100));
  CHECK(of("", "the cat") == 0);
  CHECK(of("the cat", "") == 0);
  CHECK(of("the cat sat", "the cat sat") == 0);  // no 4-grams: the score of a set of such answers is 0
  CHECK(bleu_tokens("5.5-7, (a&amp;b)", "13a") ==
        std::vector<std::string>{"5.5", "-", "7", ",", "(", "a", "&", "b", ")"});
  CHECK(bleu_tokens("日本 go", "zh") == std::vector<std::string>{"日", "本", "go"});
  CHECK(bleu_tokens("é b", "char") == std::vector<std::string>{"é", "b"});
  CHECK(bleu_tokens("a.  b\n", "none") == std::vector<std::string>{"a.", "b"});
  CHECK(rouge_n("a b c", "a b d", 1) == Approx(2.0 / 3));
  CHECK(rouge_n("a b c", "a b d", 2) == Approx(0.5));
  CHECK(rouge_n("a", "a", 2) == 0);
  CHECK(rouge_l("c a b", "a b c") == Approx(2.0 / 3));
  CHECK(rouge_l("", "a") == 0);
  CHECK(rouge_l_sum("a b\nc", "c\na b") == Approx(1));
  CHECK(rouge_l_sum("", "") == 0);
}

TEST_CASE("bootstrap: the mean, an interval of the right width, the same for the same seed") {
  std::mt19937 random(1);
  std::normal_distribution<double> normal(5, 2);
  std::vector<double> values;
  for (int i = 0; i < 400; ++i) values.push_back(normal(random));
  const auto interval = bootstrap(values, 4000, 7);
  CHECK(interval.mean == Approx(std::accumulate(values.begin(), values.end(), 0.0) / 400));
  const double half = 1.96 * 2 / std::sqrt(400.0);
  CHECK(interval.high - interval.mean == Approx(half).epsilon(0.15));
  CHECK(interval.mean - interval.low == Approx(half).epsilon(0.15));
  const auto same = bootstrap(values, 4000, 7), other = bootstrap(values, 4000, 8);
  CHECK(same.low == interval.low);
  CHECK(other.low != interval.low);
  const auto constant = bootstrap({3, 3, 3}, 100, 1);
  CHECK((constant.low == 3 && constant.high == 3));
  const auto unknown = bootstrap({1, std::nan(""), 2}, 100, 1);
  CHECK((std::isnan(unknown.mean) && std::isnan(unknown.low) && std::isnan(unknown.high)));
  CHECK(bootstrap({}, 100, 1).mean == 0);
  CHECK(bootstrap_ratio({1, 3}, {2, 2}, 100, 1).mean == Approx(1));
  CHECK(bootstrap_ratio({1, 3}, {0, 0}, 100, 1).mean == 0);
}

TEST_CASE("bootstrap covers the true mean in about 95 of 100 cases") {
  std::mt19937 random(2);
  std::normal_distribution<double> normal(0, 1);
  int covered = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<double> values;
    for (int i = 0; i < 40; ++i) values.push_back(normal(random));
    const auto interval = bootstrap(values, 400, static_cast<uint64_t>(round));
    covered += interval.low <= 0 && 0 <= interval.high;
  }
  CHECK(covered >= 176);
  CHECK(covered <= 199);
}

TEST_CASE("sign-flip test: small for a clear difference, even for none, exact for few samples") {
  CHECK(sign_flip_p(std::vector<double>(30, 1.0), 10000, 1) == Approx(1.0 / 10001));
  CHECK(sign_flip_p({0, 0, 0}, 1000, 1) == Approx(1));
  CHECK(std::isnan(sign_flip_p({1, std::nan(""), 1}, 1000, 1)));
  CHECK(std::isnan(sign_flip_p({1, HUGE_VAL, 1}, 1000, 1)));
  CHECK(sign_flip_p(std::vector<double>(30, -1.0), 1000, 1) == Approx(1));
  // Of 2^4 sign patterns only one reaches the sum of four equal differences.
  CHECK(sign_flip_p({1, 1, 1, 1}, 200000, 3) == Approx(1.0 / 16).epsilon(0.05));
  std::mt19937 random(4);
  std::normal_distribution<double> normal(0, 1);
  int below = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<double> values;
    for (int i = 0; i < 70; ++i) values.push_back(normal(random));
    below += sign_flip_p(values, 300, static_cast<uint64_t>(round)) < 0.1;
  }
  CHECK(below > 12);  // about 30 of 300
  CHECK(below < 50);
}
