#include <data/sources.h>

#include <antiphon/base/error.h>

namespace antiphon::apps {

// Too long is judged afterwards, so that the counts of long samples are known.
Reader::Reader(const run::Composition& composition)
    : composition_(composition),
      preparer_(*composition.model, composition.prompts, no_cache_, media::MediaLimits{},
                std::numeric_limits<int64_t>::max(), composition.config.data.video, composition.config.data.image) {}

std::vector<Source> Reader::sources() const {
  const auto& config = composition_.config;
  const int64_t context = composition_.model->llm().max_positions(), budget = config.train.tokens_per_batch;
  const Examiner train{&preparer_, std::min(budget, context),
                       budget <= context ? "raise train.tokens_per_batch, or shorten the sample"
                                         : "shorten the sample: it does not fit the model's context"};
  const Examiner eval{&preparer_, context, "shorten the sample: it does not fit the model's context"};
  std::vector<Source> all;
  for (const auto& source : config.data.train.sources) all.push_back({"train", source.path, train});
  for (const auto& [name, split] : config.data.eval)
    for (const auto& source : split.sources)
      if (split.enabled) all.push_back({name, source.path, eval});
  if (all.empty()) fail(ErrorKind::config, "the configuration names no data", "add [[data.train.sources]] with a path");
  return all;
}

}  // namespace antiphon::apps
