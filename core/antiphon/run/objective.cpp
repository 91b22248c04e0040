#include <antiphon/run/objective.h>

#include <antiphon/model/slot.h>

namespace antiphon::run {

std::unique_ptr<Objective> build_objective(model::ComponentSpec& spec) {
  config::Problems problems;
  auto objective = model::build_slot<Objective>(spec.plugin, {}, spec.options, "objective", problems);
  problems.throw_if_any();
  return objective;
}

}  // namespace antiphon::run
