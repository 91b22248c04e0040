// Held-out losses while a model trains.
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include <antiphon/comm/group.h>
#include <antiphon/component/objective.h>
#include <antiphon/eval/answer_metrics.h>
#include <antiphon/parallel/mesh.h>
#include <antiphon/parallel/placement.h>
#include <antiphon/run/load_set.h>

#include <functional>
#include <vector>

namespace antiphon::run {

class HeldOut {
 public:
  // Reads the enabled sets of [data.eval]; all must outlive it. One that cannot be measured is told and left out;
  // Error(data) if that leaves none. `group`: processes that share the samples; nullptr: this one has all. `block`:
  // those that have the model together; nullptr: this one alone.
  HeldOut(LoadedModel& loaded, Objective& objective, parallel::Placement& placement, const parallel::Mesh& mesh = {},
          comm::Group* group = nullptr, comm::Group* block = nullptr);
  // "eval/NAME/loss", the mean over samples as `antiphon eval` has it in the formats of training, and of sets with
  // candidates what the objective says: "eval/NAME/rewards/margins"; "failed" and "not_finite" count samples. With
  // train.eval_controls "eval/NAME/loss_shuffled", …; with `answers` of the first train.eval_answers samples what
  // eval.metrics names: "eval/NAME/wer", what eval::call_metrics() says: "eval/NAME/call_accuracy", and of all sets
  // "eval/answers", how many there are. Leaves parameters and random generators as they are. `reference`: what the
  // objective compares with; nullptr: the model as it is. Error(preempted) if a stop is asked for meanwhile, of any
  // process.
  std::map<std::string, double> measure(checkpoint::Reference* reference, bool answers);
  // Whether answers are to be written after a step.
  bool wants_answers(int64_t step, bool last) const;
  // Those of the last measure() that this process has, at most kShown of each set: {set, id, question, expected,
  // predicted}.
  const std::vector<nlohmann::json>& answers() const { return answers_; }
  static constexpr size_t kShown = 50;

 private:
  struct Set {
    LoadedSet right;
    std::map<std::string, std::vector<Sample>> controls;  // by name
    std::vector<Sample> answered;
    bool judges_refusals = false;  // whether any of these, of all processes, asks for a refusal
  };
  struct Sums;
  void add_controls(const std::string& name, Set& set);
  void share();
  std::vector<eval::Outcome> outcomes_of(const LoadedSet& set, const std::vector<Sample>& samples,
                                         checkpoint::Reference* reference) const;
  Sums measured(const std::string& name, const LoadedSet& set, const std::vector<Sample>& samples,
                checkpoint::Reference* reference) const;
  eval::Evaluator answering();
  size_t counts_of_answers() const;
  void add_answer(const Sample& sample, const std::string& predicted, bool judges_refusals,
                  std::vector<double>& counts) const;
  Sums answered(const std::string& name, const Set& set);
  // The sums of all processes.
  Sums told_by(int rank, const Sums& own) const;
  Sums together(bool all, const std::function<Sums()>& work) const;
  void look_for_stop(bool all) const;
  LoadedModel& loaded_;
  Objective& objective_;
  parallel::Placement& placement_;
  parallel::Mesh mesh_;
  comm::Group *group_, *block_;
  std::vector<eval::AnswerMetric> metrics_;
  text::Spellings spellings_;
  engine::GenerateOptions generation_;  // as `antiphon eval` takes it
  std::map<std::string, Set> sets_;     // of those that are not compared, this process's share
  std::vector<nlohmann::json> answers_;
};

}  // namespace antiphon::run
