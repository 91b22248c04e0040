// Evaluation of a set of samples: the loss of the expected answers, the answers that the model writes, and what an
// objective says of answers that it compares.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <antiphon/checkpoint/reference.h>
#include <antiphon/component/objective.h>
#include <antiphon/data/prepare.h>
#include <antiphon/engine/engine.h>
#include <antiphon/eval/options.h>
#include <antiphon/eval/pair_vectors.h>
#include <antiphon/text/tokenizer/tokenizer.h>

namespace antiphon::eval {

// One sample under one condition.
struct Outcome {
  double loss = 0;     // mean over its supervised tokens; of candidates: their share of the objective's, times the set
  int64_t tokens = 0;  // of these
  std::string predicted;  // "" if nothing was generated
  std::string thought;    // what the model wrote before it, between <think> and </think>
  std::map<std::string, std::pair<double, double>> metrics;  // of candidates: sum and count of each of the objective's
  int64_t room = 0;                                          // tokens that the answer could have
  std::vector<int32_t> ids = {};                             // of the answer, if its log-probabilities are asked for
  std::vector<engine::TokenScores> scores = {};              // of each of these
  std::string failure;                                       // why there is no loss or no answer; empty: there are
};

struct Evaluator {
  model::Model& model;
  const data::Preparer& preparer;
  const text::Tokenizer& tokenizer;
  data::FeatureCache& cache;
  const EvalOptions& options;
  engine::GenerateOptions generation = {};  // of these what changes the likeliest token
  int64_t logits_chunk = 256;               // positions whose logits are alive at once
  // Of processes that measure the same samples together: the largest over them. none: this one measures alone.
  std::function<int(int)> largest = {};
  // How they write answers; none: as engine::answers_to().
  std::function<std::vector<engine::Answer>(std::vector<data::Prepared>, const engine::GenerateOptions&)> write = {};

  // Of dual encoders: tells the classes of media apart as well; nullptr: none.
  const LinearProbe* probe = nullptr;

  // Loss (and answers if `answers`) of every sample, in order. What is wrong with a sample's data is reported in its
  // outcome, and does not affect other samples. A loss that is not finite is left as it is, without an answer.
  std::vector<Outcome> run(const std::vector<Sample>& samples, bool answers,
                           const std::function<void(size_t done)>& on_progress) const;

  // Answers to samples, as run() writes them; no losses.
  std::vector<Outcome> answers(const std::vector<Sample>& samples,
                               const std::function<void(size_t done)>& on_progress) const;

  // What the objective says of samples with candidates, each as its share of the whole: the mean of the losses is the
  // objective's loss of all. `reference`: what it compares with, if it needs one; none: the model as it is.
  std::vector<Outcome> compare(const std::vector<Sample>& samples, Objective& objective,
                               checkpoint::Reference* reference,
                               const std::function<void(size_t done)>& on_progress) const;
  // Both vectors of each sample that has no failure then, for a model with pairs().
  PairVectors pair_vectors(const std::vector<Sample>& samples, std::vector<Outcome>& outcomes,
                           const std::function<void(size_t done)>& on_progress) const;

 private:
  using Members = std::vector<size_t>;  // indices of samples
  void each_batch(size_t samples, const std::function<void(const Members&)>& work) const;
  void each_good(const Members& members, std::vector<Outcome>& outcomes,
                 const std::function<void(const Members&)>& work) const;
  std::vector<data::Prepared> prepare(const std::vector<Sample>& samples, const Members& members,
                                      data::Purpose purpose) const;
  // As compare(), of an objective that compares all: the loss is of the whole set.
  std::vector<Outcome> compare_pairs(const std::vector<Sample>& samples, Objective& objective,
                                     const std::function<void(size_t done)>& on_progress) const;
  at::Tensor class_vectors(const std::vector<std::string>& classes) const;
  template <class Read>
  auto read_together(const Read& read) const;
  template <class Pass>
  auto pass_together(const Pass& pass) const;
  at::Tensor score_together(model::Batch& batch) const;
  void measure(const std::vector<Sample>& samples, const Members& members, std::vector<Outcome>& outcomes) const;
  void score(const std::vector<Sample>& samples, const Members& members, const ObjectiveNeeds& needs,
             checkpoint::Reference* reference, std::vector<ObjectiveInput>& scored) const;
  void answer(const std::vector<Sample>& samples, const Members& members, std::vector<Outcome>& outcomes) const;
};

// What the last assistant turn says, without a thought before it: the expected answer.
std::string expected_answer(const Sample& sample);

}  // namespace antiphon::eval
