// The passes of a step in their order: for the trainer, and for whoever plans a step without values.
#pragma once
#include <functional>
#include <vector>

#include <antiphon/component/objective.h>
#include <antiphon/parallel/placement.h>
#include <antiphon/parallel/schedule.h>

namespace antiphon::train {

struct PassWork {
  std::function<ObjectiveOutput(const parallel::Pass&)> forward;
  std::function<void(ObjectiveOutput output)> backward;  // of what forward gave for the same batch and chunk
};

// Computes the gradients of a step and has the placement add them up. `recomputes`: blocks are computed again in the
// backward pass.
void run_passes(const std::vector<parallel::Pass>& passes, parallel::Placement& placement, bool recomputes,
                const PassWork& work);

}  // namespace antiphon::train
