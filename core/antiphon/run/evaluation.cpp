#include <antiphon/run/evaluation.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/eval/variants.h>
#include <antiphon/run/load_set.h>
#include <antiphon/run/predictions.h>
#include <antiphon/run/spellings.h>
#include <antiphon/run/training_slots.h>

namespace antiphon::run {
namespace {

// Takes a sample that failed under one condition out of all of them.
void drop_failed(LoadedSet& set, std::vector<Condition>& conditions) {
  std::vector<bool> failed(set.samples.size(), false);
  for (const auto& condition : conditions)
    for (size_t i = 0; i < set.samples.size(); ++i) {
      const auto& reason = condition.outcomes[i].failure;
      if (reason.empty() || failed[i]) continue;
      failed[i] = true;
      const auto& sample = set.samples[i];
      skip(set,
           {sample.file.string(), sample.id, fmt::format("with {} media: {}", condition.name, reason), sample.line});
    }
  const auto keep = [&](auto& list) {
    size_t i = 0;
    std::erase_if(list, [&](const auto&) { return failed[i++]; });
  };
  for (auto& condition : conditions) keep(condition.outcomes);
  keep(set.samples);
  if (set.samples.empty()) fail(ErrorKind::data, "the set has no good sample", "look at the warnings above");
}

// How many answers had less room than eval.max_tokens.
int64_t count_short(const std::vector<Condition>& conditions, int64_t max_tokens) {
  int64_t count = 0;
  for (const auto& condition : conditions)
    for (const auto& outcome : condition.outcomes) count += outcome.room > 0 && outcome.room < max_tokens;
  return count;
}

}  // namespace

Evaluation::Evaluation(LoadedModel& loaded, const OpenOptions& flags)
    : loaded_(loaded), flags_(flags), scoring_{loaded.config.eval, read_spellings(loaded.config)} {
  auto& generate = loaded.config.generate;  // [eval] says these, not the model's directory
  generate.temperature = 0, generate.max_tokens = loaded.config.eval.max_tokens;
  loaded.load_for_inference(flags);
  objective_ = objective_of(loaded.config, *loaded.model);
  if (loaded.config.data.eval.empty())
    fail(ErrorKind::config, "there is nothing to evaluate", "add [[data.eval.NAME.sources]] with a path");
  learn_probe();
}

void Evaluation::learn_probe() {
  const auto& name = loaded_.config.eval.probe;
  if (name.empty()) return;
  const auto set = loaded_.config.data.eval.find(name);
  if (set == loaded_.config.data.eval.end())
    fail(ErrorKind::config, fmt::format("eval.probe = \"{}\" is not a set of [data.eval]", name),
         "add [[data.eval." + name + ".sources]], or correct the name");
  const auto samples = load_set(set->second, loaded_, objective_->needs().of_record()).samples;
  std::vector<eval::Outcome> outcomes(samples.size());
  const auto vectors = evaluator_of(loaded_).pair_vectors(samples, outcomes, [](size_t) {});
  if (vectors.count() == 0)
    fail(ErrorKind::data, "no sample of eval.probe can be read: " + outcomes.front().failure,
         "look at the warnings above");
  probe_ = std::make_unique<eval::LinearProbe>(vectors, loaded_.config.eval.probe_inverse_l2);
  log::info(
      fmt::format("linear probe: {} classes of {} samples of {}", probe_->classes().size(), vectors.count(), name));
}

checkpoint::Reference* Evaluation::reference() {
  if (reference_ || !objective_->needs().reference) return reference_.get();
  if (!loaded_.config.generate.weights.empty())
    fail(ErrorKind::config, "the objective compares with a reference, which generate.weights leaves no room for",
         "leave generate.weights empty");
  reference_ = open_reference(*loaded_.model, flags_);
  return reference_.get();
}

std::vector<Condition> Evaluation::conditions(const std::string& set, const std::vector<Sample>& all, bool compares,
                                              std::ostream& predictions, const Progress& progress) {
  auto* compared_with = compares ? reference() : nullptr;
  auto options = loaded_.config.eval;
  if (loaded_.model->pairs()) std::erase(options.controls, "removed");  // there is no pair then
  const auto variants = eval::variants_of(all, options);
  auto evaluator = evaluator_of(loaded_);
  evaluator.probe = probe_.get();
  std::vector<Condition> conditions;
  size_t done = 0;
  for (const auto& [name, samples] : variants) {
    // What one kind of media alone contributes is read off the loss; answers would double the time.
    const bool answers = loaded_.config.eval.generate && !name.starts_with("shuffled_") && !compares;
    const auto tell = [&, &name = name](size_t n) {
      done += n;
      progress(fmt::format("{}: {} ({}/{})", set, name, done, variants.size() * all.size()));
    };
    conditions.push_back({name, answers,
                          compares ? evaluator.compare(samples, *objective_, compared_with, tell)
                                   : evaluator.run(samples, answers, tell)});
    write_predictions(predictions, set, all, conditions.back(), loaded_.tokenizer());
  }
  return conditions;
}

nlohmann::json Evaluation::measure(const std::string& name, std::ostream& predictions, const Progress& progress) {
  auto set = load_set(loaded_.config.data.eval.at(name), loaded_, objective_->needs().of_record());
  auto measured = conditions(name, set.samples, set.compares, predictions, progress);
  drop_failed(set, measured);
  write_skipped(predictions, name, set.bad);
  auto scores = score(name, set.samples, measured, scoring_);
  scores["skipped"] = set.bad.size();
  scores["answers_with_less_room"] = count_short(measured, loaded_.config.eval.max_tokens);
  scores["not_finite"] = not_finite(set.samples, measured);
  return scores;
}

}  // namespace antiphon::run
