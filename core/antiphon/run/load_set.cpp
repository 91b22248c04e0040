#include <antiphon/run/load_set.h>

#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/signals.h>
#include <antiphon/data/record_set.h>
#include <antiphon/data/unread_keys.h>

namespace antiphon::run {
namespace {

void check_candidates(const Sample& sample, const LoadedSet& set, int64_t compared) {
  const auto found = static_cast<int64_t>(sample.candidates.size());
  if (found > 0 && (compared == 1 || found != compared))
    fail(ErrorKind::data,
         fmt::format("the record has {} candidates; the objective {}", found,
                     compared == 1 ? "learns one answer" : fmt::format("compares {}", compared)),
         "choose the objective that fits the data, see docs/data.md");
  if (!set.samples.empty() && set.samples.front().candidates.empty() != (found == 0))
    fail(ErrorKind::data,
         found > 0 ? "the record has candidates, and those before it have none"
                   : "the record has no candidates, and those before it have some",
         "put them into sets of their own");
}

}  // namespace

void skip(LoadedSet& set, data::BadSample bad) {
  log::warning(fmt::format("{}:{}: skipped: {}", bad.file, bad.line, bad.reason));
  set.bad.push_back(std::move(bad));
}

LoadedSet load_set(const data::SplitOptions& split, const LoadedModel& loaded, int64_t compared) {
  LoadedSet set;
  data::UnreadKeys unread;
  const auto limit = loaded.config.eval.limit;
  for (const auto& source : split.sources) {
    const data::RecordSet records(source, compared);
    records.tell();
    for (int64_t i = 0; i < records.size() && (limit == 0 || static_cast<int64_t>(set.samples.size()) < limit); ++i) {
      stop_if_requested();
      Sample sample;
      try {
        sample = records.sample(i);
        check_candidates(sample, set, compared);
        loaded.preparer.prepare_group(sample);
        set.compares = loaded.model->pairs() || !sample.candidates.empty();
        unread.tell(records.path(), records.line(i), loaded.preparer.unread(sample));
        set.samples.push_back(std::move(sample));
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::data) throw;
        skip(set, {records.path().string(), sample.id, error.what(), records.line(i)});
      }
    }
  }
  if (set.samples.empty()) fail(ErrorKind::data, "the set has no good sample", "look at the warnings above");
  if (!set.compares && loaded.model->scores() > 0)
    fail(ErrorKind::data,
         fmt::format("model.graph = \"{}\" gives scores and writes no answers, and the samples have no candidates",
                     loaded.config.model.graph),
         "give it records with candidates, see docs/data.md");
  return set;
}

eval::Evaluator evaluator_of(LoadedModel& loaded) {
  const auto& config = loaded.config;
  return {*loaded.model, loaded.preparer, loaded.tokenizer(),       loaded.cache,
          config.eval,   config.generate, config.train.logits_chunk};
}

}  // namespace antiphon::run
