#include <data/sources.h>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>
#include <antiphon/run/roll_out.h>
#include <antiphon/run/training_slots.h>

namespace antiphon::apps {

int64_t answers_compared(const run::RunConfig& config) {
  auto objective = config.objective;
  return run::build_objective(objective)->needs().of_record();
}

bool is_data(const std::string& file) {
  std::error_code ignored;
  if (is_folder(file, ErrorKind::config))
    return !run::is_model_directory(file) &&
           !path_exists(std::filesystem::path(file) / "config.toml", ErrorKind::config);
  return file.ends_with(".jsonl") || file.ends_with(".json") || file.ends_with(".tar") ||
         (!file.ends_with(".toml") && std::filesystem::is_regular_file(file, ignored));
}

// Too long is judged afterwards, so that the counts of long samples are known.
Reader::Reader(const run::Composition& composition)
    : composition_(composition),
      augmenter_(composition.config.data.augment, composition.model->lm()),
      attributes_(composition.config.data.attributes),
      preparer_(composition.model->lm(), composition.prompts, no_cache_, media::MediaLimits{},
                std::numeric_limits<int64_t>::max(), composition.config.data.video, composition.config.data.image,
                composition.config.data.audio, &augmenter_, &attributes_) {}

uint64_t Reader::seed_of(size_t source, int64_t index, int64_t epoch) const {
  return data::augment_seed(static_cast<uint64_t>(composition_.config.train.seed), source, index, epoch);
}

std::vector<Source> Reader::sources() const {
  const auto& config = composition_.config;
  const int64_t context = composition_.model->lm().context();
  auto slot = config.objective;
  const auto objective = run::build_objective(slot);
  Examiner train{&preparer_,
                 context,
                 config.train.tokens_per_batch,
                 objective->needs().of_record(),
                 config.data.filter,
                 run::answer_room(config, *objective)};
  const Examiner eval{&preparer_, context};
  std::vector<Source> all;
  for (size_t number = 0; number < config.data.train.sources.size(); ++number) {
    train.draw = [this, number](int64_t index) { return seed_of(number, index, 0); };
    all.push_back({"train", config.data.train.sources[number], train});
  }
  for (const auto& [name, split] : config.data.eval)
    for (const auto& source : split.sources)
      if (split.enabled) all.push_back({name, source, eval});
  if (all.empty()) fail(ErrorKind::config, "the configuration names no data", "add [[data.train.sources]] with a path");
  return all;
}

}  // namespace antiphon::apps
