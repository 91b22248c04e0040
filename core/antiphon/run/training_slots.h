// The components of a configuration that train a model and are not parts of it.
#pragma once
#include <memory>

#include <antiphon/component/objective.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/eval/options.h>
#include <antiphon/model/model.h>
#include <antiphon/train/options.h>

namespace antiphon::run {

// Of [objective] and [train.optimizer]. Options in force are written back. Error(config) with all problems.
std::unique_ptr<Objective> build_objective(model::ComponentSpec& spec);
std::unique_ptr<UpdateRule> build_update_rule(train::OptimizerOptions& options);

// What [eval] says of dual encoders. Error(config) for a template without a place, and for a model that is not one.
void check_pairs(const eval::EvalOptions& options, const model::Model& model);

// Error(config) unless the objective is the mean loss of tokens, if train.label_smoothing or train.z_loss change that.
void check_smoothing(const Objective& objective, const std::string& name, const train::TrainOptions& options);

// Error(config) if the objective reads of sequences what the model does not give.
void check_objective(const Objective& objective, const std::string& name, const model::Model& model);

}  // namespace antiphon::run
