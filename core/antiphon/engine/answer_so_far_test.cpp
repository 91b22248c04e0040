#include <antiphon/engine/answer_so_far.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>

#include <catch2/catch_test_macros.hpp>

#include <cmath>

using namespace antiphon;
using namespace antiphon::engine;

namespace {

AnswerSoFar begun(const GenerateOptions& options = {}, OnToken on_token = {}) {
  return {options, {7, 9}, {1, -1, 2}, 3, std::nullopt, std::move(on_token)};
}

const at::Tensor kLogits = at::zeros({16});

}  // namespace

TEST_CASE("an answer ends with a stop token, which is not in it, at the end of its room, and as its reader says") {
  auto stopped = begun();
  CHECK_FALSE(stopped.take(5, kLogits));
  CHECK(stopped.seen == std::vector<int64_t>{1, -1, 2, 5});
  CHECK(stopped.prompt() == 3);
  CHECK((stopped.draft().text.seen.size() == 4 && stopped.draft().text.left == 2));
  CHECK(stopped.take(9, kLogits) == Finish::stop);
  const auto answer = std::move(stopped).ended(Finish::stop);
  CHECK(answer.ids == std::vector<int32_t>{5});
  CHECK(answer.stop_id == 9);
  CHECK_FALSE(answer.failure);
  CHECK(answer.stop_scores.logprob == 0);  // nobody asked
  auto scored = begun({.logprobs = 1});
  CHECK(scored.take(9, kLogits) == Finish::stop);
  const auto with_scores = std::move(scored).ended(Finish::stop);
  CHECK((with_scores.ids.empty() && with_scores.scores.empty()));
  CHECK(std::abs(with_scores.stop_scores.logprob + std::log(16.0)) < 1e-5);
  CHECK(with_scores.stop_scores.top.size() == 1);
  auto longest = begun();
  CHECK_FALSE(longest.take(4, kLogits));
  CHECK_FALSE(longest.take(4, kLogits));
  CHECK(longest.take(4, kLogits) == Finish::length);
  CHECK_FALSE(std::move(longest).ended(Finish::length).stop_id);
  auto left = begun({}, [](int32_t id) { return id != 6; });
  CHECK_FALSE(left.take(4, kLogits));
  CHECK(left.take(6, kLogits) == Finish::ended);
  CHECK(std::move(left).ended(Finish::ended).ids == std::vector<int32_t>{4, 6});
}

TEST_CASE("an answer whose logits were not finite fails in these words, or in those given") {
  auto lost = begun();
  CHECK_FALSE(lost.take(5, kLogits));
  CHECK(lost.take(std::nullopt, kLogits) == Finish::failed);
  const auto answer = std::move(lost).ended(Finish::failed);
  CHECK(answer.ids == std::vector<int32_t>{5});
  REQUIRE(answer.failure);
  try {
    std::rethrow_exception(answer.failure);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    CHECK(error.message() == kNotFinite);
  }
  const auto other = begun().ended(Finish::failed, failure("other words", ""));
  try {
    std::rethrow_exception(other.failure);
  } catch (const Error& error) {
    CHECK(error.message() == "other words");
  }
}

TEST_CASE("the best beam is told token by token, until its reader leaves") {
  GenerateOptions options;
  options.logprobs = 0;
  BeamSearch::Answer best{{3, 4, 5}, {{-1}, {-2}, {-3}}, 0, true};
  auto all = begun(options);
  CHECK(all.take(best) == Finish::stop);
  CHECK(std::move(all).ended(Finish::stop).scores.size() == 3);
  auto some = begun(options, [](int32_t id) { return id != 4; });
  CHECK(some.take(best) == Finish::ended);
  CHECK(std::move(some).ended(Finish::ended).ids == std::vector<int32_t>{3, 4});
  best.stopped = false;
  CHECK(begun().take(best) == Finish::length);
}

TEST_CASE("stop strings need a tokenizer") {
  GenerateOptions options;
  options.stop = {"end"};
  CHECK_THROWS_AS(begun(options), Error);
}
