// Held-out losses while a model trains.
#pragma once
#include <map>
#include <string>

#include <antiphon/comm/group.h>
#include <antiphon/component/objective.h>
#include <antiphon/parallel/mesh.h>
#include <antiphon/parallel/placement.h>
#include <antiphon/run/load_set.h>

namespace antiphon::run {

class HeldOut {
 public:
  // Reads the enabled sets of [data.eval]; all must outlive it. One that cannot be measured is told and left out;
  // Error(data) if that leaves none. `group`: processes that share the samples; nullptr: this one has all.
  HeldOut(LoadedModel& loaded, Objective& objective, parallel::Placement& placement, const parallel::Mesh& mesh = {},
          comm::Group* group = nullptr);
  // "eval/NAME/loss", the mean over samples as `antiphon eval` has it in the formats of training, and of sets with
  // candidates what the objective says: "eval/NAME/rewards/margins"; "failed" and "not_finite" count samples. Leaves
  // parameters and random generators as they are. `reference`: what the objective compares with; nullptr: the model as
  // it is. Error(preempted) if a stop is asked for meanwhile, of any process.
  std::map<std::string, double> measure(checkpoint::Reference* reference) const;

 private:
  void share();
  std::vector<eval::Outcome> outcomes_of(const LoadedSet& set, checkpoint::Reference* reference) const;
  LoadedModel& loaded_;
  Objective& objective_;
  parallel::Placement& placement_;
  parallel::Mesh mesh_;
  comm::Group* group_;
  std::map<std::string, LoadedSet> sets_;  // of those that are not compared, this process's share
};

}  // namespace antiphon::run
