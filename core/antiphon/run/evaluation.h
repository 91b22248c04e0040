// Evaluation of the held-out sets of a configuration: losses and answers, with the controls.
#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string>

#include <antiphon/checkpoint/reference.h>
#include <antiphon/component/objective.h>
#include <antiphon/run/loaded_model.h>
#include <antiphon/run/scores.h>

namespace antiphon::run {

// What measures a set: the model alone, or an objective that compares candidates.
class Evaluation {
 public:
  // "set: condition (3/120)", after each sample.
  using Progress = std::function<void(const std::string& text)>;

  // Loads the weights: with the likeliest answers of at most eval.max_tokens, whatever the model's directory says.
  // `flags` as those of `loaded`; both must outlive it. Error(config) if there is no set.
  Evaluation(LoadedModel& loaded, const OpenOptions& flags);

  // The scores of a set of [data.eval], with `skipped`, `answers_with_less_room` and `not_finite` (a reason or null);
  // what the model says of each sample goes to `predictions`. Error(data) if no sample is good.
  nlohmann::json measure(const std::string& set, std::ostream& predictions, const Progress& progress);

 private:
  checkpoint::Reference* reference();
  void learn_probe();
  std::vector<Condition> conditions(const std::string& set, const std::vector<Sample>& samples, bool compares,
                                    std::ostream& predictions, const Progress& progress);

  LoadedModel& loaded_;
  const OpenOptions& flags_;
  std::unique_ptr<Objective> objective_;
  Scoring scoring_;
  std::unique_ptr<eval::LinearProbe> probe_;          // of eval.probe
  std::unique_ptr<checkpoint::Reference> reference_;  // if the objective needs one and the model was trained
};

}  // namespace antiphon::run
