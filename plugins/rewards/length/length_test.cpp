#include "length.h"

#include <antiphon/base/error.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;

namespace {

double score(const length::LengthOptions& options, int64_t tokens, bool ended = true) {
  const Sample sample;
  return length::Length(options).score(std::vector<WrittenAnswer>{{sample, "", "text", tokens, ended}}).at(0);
}

}  // namespace

TEST_CASE("length: 0 up to max - buffer tokens, a line to -1 at max, and -1 from there on") {
  const length::LengthOptions options{.max = 100, .buffer = 20};
  CHECK(score(options, 0) == 0);
  CHECK(score(options, 80) == 0);
  CHECK(score(options, 85) == -0.25);
  CHECK(score(options, 90) == -0.5);
  CHECK(score(options, 95) == -0.75);
  CHECK(score(options, 100) == -1);
  CHECK(score(options, 500) == -1);
  CHECK(score({.max = 100, .buffer = 100}, 25) == -0.25);
}

TEST_CASE("length: an answer that did not end has -1, however short it is") {
  CHECK(score({.max = 100, .buffer = 20}, 3, /*ended=*/false) == -1);
}

TEST_CASE("length: a buffer above max is refused") {
  CHECK_THROWS_AS(length::Length({.max = 10, .buffer = 11}), Error);
  CHECK_NOTHROW(length::Length({.max = 10, .buffer = 10}));
}
