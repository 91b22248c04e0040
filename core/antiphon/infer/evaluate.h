// Evaluation of a set of samples: the loss of the expected answers, and the answers that the model writes.
#pragma once
#include <functional>

#include <antiphon/component/loss.h>
#include <antiphon/data/prepare.h>
#include <antiphon/infer/options.h>
#include <antiphon/text/tokenizer.h>

namespace antiphon::infer {

// One sample under one condition.
struct Outcome {
  double loss = 0;        // mean over its supervised tokens
  int64_t tokens = 0;     // of these
  std::string predicted;  // "" where nothing was generated
};

struct Evaluator {
  graph::MultimodalLm& model;
  Loss& loss;
  const data::Preparer& preparer;
  const text::Tokenizer& tokenizer;
  data::FeatureCache& cache;
  const EvalOptions& options;

  // Loss (and answers where `answers`) of every sample, in order. Every sample must be good: Error(data) names it.
  std::vector<Outcome> run(const std::vector<data::Sample>& samples, bool answers,
                           const std::function<void(size_t done)>& on_progress) const;

 private:
  std::vector<data::Prepared> prepare(const std::vector<data::Sample>& samples, data::Purpose purpose) const;
  void keep_features(graph::Batch& batch) const;
  void measure(const std::vector<data::Sample>& samples, Outcome* outcomes) const;
  void answer(const std::vector<data::Sample>& samples, Outcome* outcomes) const;
};

// What the last assistant turn says: the expected answer.
std::string expected_answer(const data::Sample& sample);

}  // namespace antiphon::infer
