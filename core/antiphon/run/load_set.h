// The samples of a set that can be evaluated, and what measures them.
#pragma once
#include <vector>

#include <antiphon/data/loader.h>
#include <antiphon/eval/evaluate.h>
#include <antiphon/run/loaded_model.h>

namespace antiphon::run {

struct LoadedSet {
  std::vector<Sample> samples;
  std::vector<data::BadSample> bad;
  bool compares = false;  // samples have candidates, or are pairs, for an objective that compares them
};

// Says so and takes note of it.
void skip(LoadedSet& set, data::BadSample bad);

// Samples that cannot be prepared are listed and left out of every condition, so that pairs stay pairs. A set is of
// answers or of candidates, as its first good record is; `compared`: how many candidates the objective compares.
// Error(data) if none is good, or the model gives scores and the samples have no candidates.
LoadedSet load_set(const data::SplitOptions& split, const LoadedModel& loaded, int64_t compared);

// What measures such sets, as the configuration says. `loaded` must outlive it.
eval::Evaluator evaluator_of(LoadedModel& loaded);

}  // namespace antiphon::run
