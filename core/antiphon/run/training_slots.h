// The components of a configuration that train a model and are not parts of it.
#pragma once
#include <memory>

#include <antiphon/component/objective.h>
#include <antiphon/component/reward.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/model/model.h>
#include <antiphon/run/run_config.h>

namespace antiphon::run {

// Of [objective] and [train.optimizer]. Options in force are written back. Error(config) with all problems.
std::unique_ptr<Objective> build_objective(model::ComponentSpec& spec);
std::unique_ptr<UpdateRule> build_update_rule(train::OptimizerOptions& options);

struct WeightedReward {
  std::string name;  // of its plugin; "match_2" is the second of one
  double weight = 1;
  std::unique_ptr<Reward> reward;
};
// Of [[train.rollout.rewards]], as above.
std::vector<WeightedReward> build_rewards(train::RolloutOptions& options);

// The objective of a model that is evaluated. Error(config), too, if it reads of sequences what the model does not
// give, and for what [eval] says of dual encoders: a template without a place, a model that is not one.
std::unique_ptr<Objective> objective_of(RunConfig& config, const model::Model& model);

// Error(config) if train.on_oom lets a step go that other processes wait in, or of which something lies on the host.
void check_on_oom(const RunConfig& config, bool several_processes);
// Error(config) if several processes train with an objective that learns from what the model writes, or what is trained
// lies on the host.
void check_written(const RunConfig& config, const Objective& objective, bool several_processes);

struct TrainingSlots {
  std::unique_ptr<Objective> objective;
  std::unique_ptr<UpdateRule> rule;
  std::vector<WeightedReward> rewards;  // of an objective that learns from what the model writes; else none
};

// Those of a model that is trained, before its weights are read. Error(config), too, for all that training would refuse
// then: train.on_oom beside what lies on the host; as objective_of(); label smoothing and z-loss of an objective that
// is not the mean loss of tokens; formats of [precision] that its weights cannot be kept in; [[train.groups]] that
// match nothing; an objective that learns from what the model writes without a reward or on a mesh of several
// processes, and rewards of another.
TrainingSlots slots_of_training(RunConfig& config, model::Model& model);

}  // namespace antiphon::run
