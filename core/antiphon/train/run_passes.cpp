#include <antiphon/train/run_passes.h>

#include <antiphon/base/beacon.h>
#include <antiphon/component/pipeline_pass.h>
#include <antiphon/nn/deferred_gradients.h>

#include <algorithm>
#include <map>
#include <utility>

namespace antiphon::train {
namespace {

using enum parallel::Pass::Kind;

struct Computed {
  ObjectiveOutput output;
  nn::DeferredGradients later;  // if a pass of the schedule computes them
};

void run_pass(const parallel::Pass& pass, bool defers, Computed& computed, parallel::Placement& placement,
              const PassWork& work) {
  const PipelinePass of(pass.batch, pass.chunk);
  {
    const nn::DeferredGradients::Scope scope(defers ? &computed.later : nullptr);
    if (pass.kind == forward) computed.output = work.forward(pass);
    if (pass.kind == backward) work.backward(std::exchange(computed.output, {}));
  }
  if (pass.kind == weights) computed.later.compute(), placement.end_pass();
}

}  // namespace

void run_passes(const std::vector<parallel::Pass>& passes, parallel::Placement& placement, bool recomputes,
                const PassWork& work) {
  std::map<std::pair<int, int>, Computed> computed;  // batch and chunk, until their last pass
  placement.make_usable();
  const bool defers = std::ranges::any_of(passes, [](const parallel::Pass& pass) { return pass.kind == weights; });
  for (const auto& pass : passes) {
    const std::pair key(pass.batch, pass.chunk);
    beacon::doing("computing");
    // A block that is recomputed, or whose weights wait, gives its gradients once for each call, and a part may be
    // called several times.
    if (!recomputes && !defers && &pass == &passes.back()) placement.begin_last_pass();
    run_pass(pass, defers, computed[key], placement, work);
    if (pass.kind == (defers ? weights : backward)) computed.erase(key);
  }
  placement.add_gradients();
}

}  // namespace antiphon::train
