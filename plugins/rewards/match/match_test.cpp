#include "match.h"

#include <antiphon/base/error.h>

#include <catch2/catch_test_macros.hpp>

#include <cmath>

using namespace antiphon;
using match::Match;

namespace {

double score(const match::MatchOptions& options, std::string_view text, std::string_view expected) {
  const Sample sample;
  return Match(options).score(std::vector<WrittenAnswer>{{sample, expected, text}}).at(0);
}

std::string refusal(const match::MatchOptions& options) try {
  Match made(options);
  return "none";
} catch (const Error& error) {
  CHECK(error.kind() == ErrorKind::config);
  return error.message();
}

}  // namespace

TEST_CASE("match: exact, without case, punctuation and white space") {
  const match::MatchOptions exact;
  CHECK(score(exact, " a red\tBird!", "A red bird.") == 1);
  CHECK(score(exact, "a red bird here", "A red bird.") == 0);
  CHECK(score(exact, "", "A red bird.") == 0);
  CHECK(score(exact, "...", "!") == 1);
  CHECK(std::isnan(score(exact, "a red bird", "")));
  CHECK(score(exact, "\xff", "a") == 0);
}

TEST_CASE("match: an answer contains whole words") {
  const match::MatchOptions contains{.how = "contains"};
  CHECK(score(contains, "It is a red bird, I think", "A red bird.") == 1);
  CHECK(score(contains, "red bird", "a red bird") == 0);
  CHECK(score(contains, "a red birdie", "a red bird") == 0);
  CHECK(score(contains, "I know", "no") == 0);
  CHECK(score(contains, "No!", "no") == 1);
  CHECK(std::isnan(score(contains, "anything", "...")));
  CHECK(std::isnan(score(contains, "anything", "")));
}

TEST_CASE("match: a pattern is found in the answer as it is, whatever is expected") {
  const match::MatchOptions regex{.how = "regex", .pattern = R"((?s)^<think>.*</think>\s*\b\d+$)"};
  CHECK(score(regex, "<think>one\nmore</think> 42", "") == 1);
  CHECK(score(regex, "<think>one more</think> forty", "42") == 0);
  CHECK(score(regex, "<Think></Think>42", "42") == 0);
  CHECK(score({.how = "regex", .pattern = "ä"}, "\xff ä", "") == 1);
  const match::MatchOptions slow{.how = "regex", .pattern = "^(a+)+$"};
  CHECK(std::isnan(score(slow, std::string(40, 'a') + "b", "")));
  CHECK(score(slow, "aaa", "") == 1);
}

TEST_CASE("match: options that do not belong together are refused") {
  CHECK(refusal({.how = "regex"}) == "how = \"regex\" without a pattern");
  CHECK(refusal({.how = "exact", .pattern = "a"}) == "how = \"exact\" beside a pattern");
  CHECK(refusal({.how = "regex", .pattern = "("}).find("the pattern ( is malformed: ") == 0);
}
