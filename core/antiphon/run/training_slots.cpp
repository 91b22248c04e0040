#include <antiphon/run/training_slots.h>

#include <antiphon/model/slot.h>

namespace antiphon::run {

std::unique_ptr<Objective> build_objective(model::ComponentSpec& spec) {
  config::Problems problems;
  auto objective = model::build_slot<Objective>(spec.plugin, {}, spec.options, "objective", problems);
  problems.throw_if_any();
  return objective;
}

std::unique_ptr<UpdateRule> build_update_rule(train::OptimizerOptions& options) {
  config::Problems problems;
  auto rule = model::build_slot<UpdateRule>(options.name, {}, options.options, "train.optimizer", problems);
  problems.throw_if_any();
  return rule;
}

}  // namespace antiphon::run
