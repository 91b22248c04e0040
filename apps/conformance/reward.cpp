#include <antiphon/component/reward.h>

#include <algorithm>
#include <cmath>

#include "subject.h"

namespace antiphon::apps::conformance {
namespace {

// A question and its answer, or what a tool is called for.
struct Asked {
  std::string name, question, expected;
};
const std::vector<Asked> kAsked{
    {"a question", "What stands on the table?", "A red cup."},
    {"a call of a tool", "Wake me in five minutes.", R"({"name": "set_timer", "arguments": {"minutes": 5}})"}};

// What a model writes that has found a way to be paid without an answer, and the answer.
struct Told {
  std::string name, text;
};
std::vector<Told> told(const Asked& asked) {
  std::string repeated;
  for (int i = 0; i < 1000; ++i) repeated += i == 0 ? "the" : " the";
  return {{"the empty answer", ""},
          {"the expected answer", asked.expected},
          {"the question repeated", asked.question},
          {"one word 1,000 times", repeated}};
}

class Answers {
 public:
  Answers() {
    for (const auto& asked : kAsked) {
      auto& sample = samples_.emplace_back();
      sample.turns = {{"user", {{asked.question}}}, {"assistant", {{asked.expected}}}};
      told_.push_back(told(asked));
    }
    for (size_t i = 0; i < kAsked.size(); ++i)
      for (const auto& answer : told_[i])
        for (const bool ended : {true, false})
          all_.push_back({samples_[i], kAsked[i].expected, answer.text, tokens(answer.text) + ended, ended});
  }
  const std::vector<WrittenAnswer>& all() const { return all_; }
  const std::vector<Told>& of(size_t asked) const { return told_[asked]; }

 private:
  // As many as words; none of the empty answer.
  static int64_t tokens(const std::string& text) { return text.empty() ? 0 : 1 + std::ranges::count(text, ' '); }
  std::vector<Sample> samples_;
  std::vector<std::vector<Told>> told_;
  std::vector<WrittenAnswer> all_;
};

std::vector<double> scores_of(Reward& reward, const std::vector<WrittenAnswer>& answers) {
  auto scores = reward.score(answers);
  expect(scores.size() == answers.size(), "expected one number an answer, {}, got {}", answers.size(), scores.size());
  return scores;
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

void gives_numbers(Reward& reward, const Answers& answers) {
  for (const double score : scores_of(reward, answers.all()))
    expect(!std::isinf(score), "expected finite numbers, or NaN of what cannot be judged, got {}", score);
  expect(reward.score({}).empty(), "expected no number of no answer");
}

void judges_each_by_itself(Reward& reward, const Answers& answers) {
  const auto together = scores_of(reward, answers.all());
  for (size_t i = 0; i < together.size(); ++i) {
    const double alone = scores_of(reward, {answers.all()[i]}).front();
    expect(same(alone, together[i]), "expected the same number of an answer alone as among others, got {} and {}",
           alone, together[i]);
  }
}

void order_is_no_matter(Reward& reward, const Answers& answers) {
  const auto forward = scores_of(reward, answers.all());
  const auto backward = scores_of(reward, {answers.all().rbegin(), answers.all().rend()});
  for (size_t i = 0; i < forward.size(); ++i) {
    const double other = backward[forward.size() - 1 - i];
    expect(same(forward[i], other), "expected the same numbers in another order, got {} and {} of one answer",
           forward[i], other);
  }
}

// For people: a model learns to write what it is paid for.
void print_scores(const std::vector<double>& scores, const Answers& answers) {
  size_t at = 0;
  for (size_t i = 0; i < kAsked.size(); ++i)
    for (const auto& answer : answers.of(i)) {
      fmt::print("        {}, {}: {:.4g}; cut: {:.4g}\n", kAsked[i].name, answer.name, scores[at], scores[at + 1]);
      at += 2;
    }
}

void check_reward(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<Reward>(subject))) return;
  const auto reward = build<Reward>(subject);
  const Answers answers;
  report.check("score: one number an answer, finite or NaN", [&] { gives_numbers(*reward, answers); });
  report.check("score: each answer by itself", [&] { judges_each_by_itself(*reward, answers); });
  report.check("score: the order does not matter", [&] { order_is_no_matter(*reward, answers); });
  std::vector<double> scores;
  if (report.check("score: it gives", [&] { scores = scores_of(*reward, answers.all()); }))
    print_scores(scores, answers);
}

const KindChecks registered{KindOf<Reward>::name, check_reward};

}  // namespace
}  // namespace antiphon::apps::conformance
