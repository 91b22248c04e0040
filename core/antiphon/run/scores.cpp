#include <antiphon/run/scores.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/eval/calls.h>
#include <antiphon/eval/metrics.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace antiphon::run {
namespace {

using eval::Interval;
using nlohmann::json;

json interval(const Interval& value) { return {{"mean", value.mean}, {"low", value.low}, {"high", value.high}}; }

// Indices of the samples of each task, and of "all". A single task is all.
std::map<std::string, std::vector<size_t>> by_task(const std::vector<Sample>& samples) {
  std::map<std::string, std::vector<size_t>> tasks;
  for (size_t i = 0; i < samples.size(); ++i)
    if (const auto tag = samples[i].tags.find("task"); tag != samples[i].tags.end()) tasks[tag->second].push_back(i);
  if (tasks.size() == 1 && tasks.begin()->second.size() == samples.size()) return tasks;
  auto& all = tasks["all"];
  all.resize(samples.size());
  std::iota(all.begin(), all.end(), 0);
  return tasks;
}

using Counts = std::vector<std::vector<double>>;  // of each sample

struct Scores {
  std::vector<double> loss;
  std::map<std::string, Counts> of_answers;
  // Of the objective, or of calls and refusals: sums and counts.
  std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> named;
};

Scores collect(const std::vector<Sample>& samples, const std::vector<eval::Outcome>& outcomes,
               const std::vector<size_t>& members, const Scoring& scoring, bool generated) {
  Scores s;
  const bool judges_refusals = eval::asks_for_refusals(samples);
  for (const auto i : members) {
    const auto pair =
        eval::pair_of(outcomes[i].predicted, eval::expected_answer(samples[i]), scoring.options, scoring.spellings);
    s.loss.push_back(outcomes[i].loss);
    auto named = outcomes[i].metrics;
    if (generated) named.merge(eval::call_metrics(samples[i], outcomes[i].predicted, scoring.options, judges_refusals));
    for (const auto& [name, metric] : named)
      s.named[name].first.push_back(metric.first), s.named[name].second.push_back(metric.second);
    for (const auto& metric : scoring.metrics) s.of_answers[metric.name].push_back(metric.counts(pair));
  }
  return s;
}

json metrics(const Scores& s, bool generated, const Scoring& scoring) {
  const auto& options = scoring.options;
  const auto seed = static_cast<uint64_t>(options.seed);
  json out{{"loss", interval(eval::bootstrap(s.loss, options.resamples, seed))}};
  for (const auto& [name, metric] : s.named)
    out[name] = interval(eval::bootstrap_ratio(metric.first, metric.second, options.resamples, seed));
  if (!generated) return out;
  for (const auto& metric : scoring.metrics)
    out[metric.name] =
        interval(eval::bootstrap_counts(s.of_answers.at(metric.name), metric.score, options.resamples, seed));
  return out;
}

std::vector<double> differences(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out;
  for (size_t i = 0; i < a.size(); ++i) out.push_back(a[i] - b[i]);
  return out;
}

std::vector<double> firsts(const Counts& counts) {
  std::vector<double> out;
  for (const auto& of_sample : counts) out.push_back(of_sample.front());
  return out;
}

// How much worse the control is, with the chance that it is not.
json compare(const Scores& right, const Scores& control, bool generated, const Scoring& scoring) {
  const auto& options = scoring.options;
  const auto seed = static_cast<uint64_t>(options.seed);
  const auto paired = [&](const std::vector<double>& difference) {
    auto out = interval(eval::bootstrap(difference, options.resamples, seed));
    out["p"] = eval::sign_flip_p(difference, options.resamples, seed);
    return out;
  };
  json out{{"loss", paired(differences(control.loss, right.loss))}};
  if (!generated) return out;
  for (const auto& metric : scoring.metrics)
    if (metric.is_mean)
      out[metric.name] =
          paired(differences(firsts(right.of_answers.at(metric.name)), firsts(control.of_answers.at(metric.name))));
  return out;
}

}  // namespace

json score(const std::string& set, const std::vector<Sample>& samples, const std::vector<Condition>& conditions,
           const Scoring& scoring) {
  json out{
      {"set", set}, {"samples", samples.size()}, {"normalizer", scoring.options.normalizer}, {"tasks", json::object()}};
  for (const auto& [task, members] : by_task(samples)) {
    json& entry = out["tasks"][task];
    entry["samples"] = members.size();
    const auto right = collect(samples, conditions.front().outcomes, members, scoring, conditions.front().generated);
    for (const auto& condition : conditions) {
      const auto scores = collect(samples, condition.outcomes, members, scoring, condition.generated);
      entry["conditions"][condition.name] = metrics(scores, condition.generated, scoring);
      if (&condition != &conditions.front())
        entry["right_better_than"][condition.name] = compare(right, scores, condition.generated, scoring);
    }
  }
  return out;
}

json not_finite(const std::vector<Sample>& samples, const std::vector<Condition>& conditions) {
  const auto is_bad = [](const eval::Outcome& outcome) { return !std::isfinite(outcome.loss); };
  for (const auto& [name, generated, outcomes] : conditions) {
    const auto first = std::ranges::find_if(outcomes, is_bad);
    if (first == outcomes.end()) continue;
    const auto& sample = samples[static_cast<size_t>(first - outcomes.begin())];
    return fmt::format("the loss of {} of {} samples is not finite; first {}:{} ({}), with {} media",
                       std::ranges::count_if(outcomes, is_bad), outcomes.size(), sample.file.string(), sample.line,
                       sample.id, name);
  }
  return nullptr;
}

}  // namespace antiphon::run
