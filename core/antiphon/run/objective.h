// The objective of [objective].
#pragma once
#include <memory>

#include <antiphon/component/objective.h>
#include <antiphon/model/model_spec.h>

namespace antiphon::run {

// Options in force are written back. Error(config) with all problems.
std::unique_ptr<Objective> build_objective(model::ComponentSpec& spec);

}  // namespace antiphon::run
