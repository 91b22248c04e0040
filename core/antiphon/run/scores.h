// The scores of an evaluated set as JSON.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include <antiphon/eval/answer_metrics.h>
#include <antiphon/eval/evaluate.h>

namespace antiphon::run {

// One set under one condition: "right", "shuffled", "removed".
struct Condition {
  std::string name;
  bool generated = false;  // whether there are answers
  std::vector<eval::Outcome> outcomes;
};

// How answers are scored.
struct Scoring {
  const eval::EvalOptions& options;
  text::Spellings spellings = {};
  std::vector<eval::AnswerMetric> metrics = eval::answer_metrics(options);
};

// Scores of each task of a set (and of all together) under each condition, with 95 % intervals; each control is
// compared with "right" pair by pair.
nlohmann::json score(const std::string& set, const std::vector<Sample>& samples,
                     const std::vector<Condition>& conditions, const Scoring& scoring);

// "the loss of 9 of 9 samples is not finite; first FILE:LINE (ID), with right media", of the first condition with any;
// null if all losses are finite.
nlohmann::json not_finite(const std::vector<Sample>& samples, const std::vector<Condition>& conditions);

}  // namespace antiphon::run
