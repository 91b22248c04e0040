// antiphon eval FILE [--only SET …]: losses and answers on held-out samples, with the controls.
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/eval/controls.h>
#include <antiphon/run/load_set.h>
#include <antiphon/run/sample_parts.h>
#include <antiphon/run/spellings.h>
#include <antiphon/run/training_slots.h>
#include <common/command.h>
#include <common/logprobs.h>
#include <common/profile.h>
#include <eval/table.h>

namespace antiphon::apps {
namespace {

struct EvalFlags {
  run::OpenOptions open;
  ProfileFlags profile;
  std::vector<std::string> sets;
  std::string output;
};

// What measures a set: the model alone, or an objective that compares candidates.
struct Measure {
  const run::OpenOptions& flags;
  std::unique_ptr<Objective> objective;
  Scoring scoring;
  std::unique_ptr<checkpoint::Reference> reference = nullptr;  // if the objective needs one and the model was trained
};

void open_reference(Measure& measure, run::LoadedModel& loaded) {
  if (measure.reference || !measure.objective->needs().reference) return;
  if (!loaded.config.generate.weights.empty())
    fail(ErrorKind::config, "the objective compares with a reference, which generate.weights leaves no room for",
         "leave generate.weights empty");
  measure.reference = run::open_reference(*loaded.model, measure.flags);
}

bool holds(const std::vector<Sample>& samples, Modality modality) {
  for (const auto& sample : samples)
    for (const auto& media : sample.media)
      if (media.modality == modality) return true;
  return false;
}

using Variants = std::vector<std::pair<std::string, std::vector<Sample>>>;

// A control that cannot be made is reported and left out.
void add_shuffled(Variants& all, const std::string& name, const std::vector<Sample>& samples, uint64_t seed,
                  const std::vector<Modality>& kinds) {
  try {
    all.emplace_back(name, eval::with_shuffled_media(samples, seed, kinds));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    log::warning(fmt::format("the control '{}' is left out: {}", name, error.what()));
  }
}

// If a set has several kinds of media, each is also shuffled alone.
Variants conditions_of(const std::vector<Sample>& samples, const eval::EvalOptions& options) {
  Variants all{{"right", samples}};
  std::vector<Modality> kinds;
  for (const auto modality : {Modality::image, Modality::audio, Modality::video})
    if (holds(samples, modality)) kinds.push_back(modality);
  const auto seed = static_cast<uint64_t>(options.seed);
  for (const auto& control : options.controls) {
    if (kinds.empty()) continue;
    if (control == "removed") all.emplace_back(control, eval::without_media(samples));
    if (control != "shuffled") continue;
    add_shuffled(all, control, samples, seed, {});
    if (kinds.size() == 1) continue;
    for (const auto kind : kinds) add_shuffled(all, fmt::format("shuffled_{}", to_string(kind)), samples, seed, {kind});
  }
  return all;
}

nlohmann::json prediction(const Sample& sample, const Condition& condition, const eval::Outcome& outcome,
                          const text::Tokenizer& tokenizer) {
  nlohmann::json record{{"media", condition.name},
                        {"id", sample.id},
                        {"file", sample.file.string()},
                        {"line", sample.line},
                        {"loss", outcome.loss}};
  if (sample.candidates.empty())
    record["expected"] = eval::expected_answer(sample), record["predicted"] = outcome.predicted;
  if (!outcome.thought.empty()) record["thought"] = outcome.thought;
  if (!outcome.scores.empty()) record["logprobs"] = logprobs_json(outcome.ids, outcome.scores, tokenizer);
  for (const auto& [name, metric] : outcome.metrics) record["metrics"][name] = metric.first / metric.second;
  for (const auto& [key, value] : sample.tags) record["tags"][key] = value;
  if (condition.name == "right")  // what a report shows; a relative manifest may be out of reach then
    record["question"] = run::question_of(sample), record["media_files"] = run::media_files_of(sample);
  return record;
}

void write_line(std::ofstream& out, const std::string& set, nlohmann::json record) {
  record["set"] = set;
  out << record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

void write_predictions(std::ofstream& out, const std::string& set, const std::vector<Sample>& samples,
                       const Condition& condition, const text::Tokenizer& tokenizer) {
  for (size_t i = 0; i < samples.size(); ++i)
    if (condition.outcomes[i].failure.empty())
      write_line(out, set, prediction(samples[i], condition, condition.outcomes[i], tokenizer));
}

// Takes a sample that failed under one condition out of all of them.
void drop_failed(run::LoadedSet& set, std::vector<Condition>& conditions) {
  std::vector<bool> failed(set.samples.size(), false);
  for (const auto& condition : conditions)
    for (size_t i = 0; i < set.samples.size(); ++i) {
      const auto& reason = condition.outcomes[i].failure;
      if (reason.empty() || failed[i]) continue;
      failed[i] = true;
      const auto& sample = set.samples[i];
      run::skip(set, {sample.file.string(), sample.id, fmt::format("with {} media: {}", condition.name, reason),
                      sample.line});
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

nlohmann::json evaluate(const std::string& name, run::LoadedModel& loaded, Measure& measure,
                        std::ofstream& predictions) {
  auto set = run::load_set(loaded.config.data.eval.at(name), loaded, measure.objective->needs().candidates);
  if (set.compares) open_reference(measure, loaded);
  const auto variants = conditions_of(set.samples, loaded.config.eval);
  const auto evaluator = run::evaluator_of(loaded);
  std::vector<Condition> conditions;
  size_t done = 0;
  for (const auto& [label, samples] : variants) {
    // What one kind of media alone contributes is read off the loss; answers would double the time.
    const bool answers = loaded.config.eval.generate && !label.starts_with("shuffled_") && !set.compares;
    const auto tell = [&, &label = label](size_t n) {
      done += n;
      show_progress(fmt::format("{}: {} ({}/{})", name, label, done, variants.size() * set.samples.size()));
    };
    conditions.push_back({label, answers,
                          set.compares ? evaluator.compare(samples, *measure.objective, measure.reference.get(), tell)
                                       : evaluator.run(samples, answers, tell)});
    write_predictions(predictions, name, set.samples, conditions.back(), loaded.tokenizer());
  }
  finish_progress();
  drop_failed(set, conditions);
  for (const auto& bad : set.bad)
    write_line(predictions, name, {{"skipped", bad.reason}, {"id", bad.id}, {"file", bad.file}, {"line", bad.line}});
  auto scores = score(name, set.samples, conditions, measure.scoring);
  scores["skipped"] = set.bad.size();
  scores["answers_with_less_room"] = count_short(conditions, loaded.config.eval.max_tokens);
  scores["not_finite"] = not_finite(set.samples, conditions);
  return scores;
}

// A set that cannot be evaluated does not affect the others.
nlohmann::json evaluate_or_tell(const std::string& name, run::LoadedModel& loaded, Measure& measure,
                                std::ofstream& predictions, std::vector<std::string>& problems) {
  try {
    auto scores = evaluate(name, loaded, measure, predictions);
    print_scores(scores);
    if (const auto& problem = scores["not_finite"]; problem.is_string())
      problems.push_back(fmt::format("{}: {}", name, problem.get<std::string>()));
    return scores;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    finish_progress();
    problems.push_back(fmt::format("{}: {}", name, error.what()));
    return {{"set", name}, {"error", error.what()}};
  }
}

int run(const EvalFlags& flags) {
  run::LoadedModel loaded(flags.open);
  auto& generate = loaded.config.generate;  // [eval] says these, not the model's directory
  generate.temperature = 0, generate.max_tokens = loaded.config.eval.max_tokens;
  loaded.load_for_inference(flags.open);
  Measure measure{flags.open,
                  run::build_objective(loaded.config.objective),
                  {loaded.config.eval, run::read_spellings(loaded.config)}};
  run::check_objective(*measure.objective, loaded.config.objective.plugin, *loaded.model);
  if (loaded.config.data.eval.empty())
    fail(ErrorKind::config, "there is nothing to evaluate", "add [[data.eval.NAME.sources]] with a path");
  std::filesystem::path output = flags.output;
  if (output.empty()) {
    const std::filesystem::path file = flags.open.file;
    output = run::is_run_folder(file) ? file / "eval" : std::filesystem::path("eval");
  }
  make_folder(output, ErrorKind::config);
  std::ofstream predictions(output / "predictions.jsonl");
  if (!predictions) fail(ErrorKind::config, "cannot write " + (output / "predictions.jsonl").string());
  const ProfiledRun profiled(flags.profile, loaded, output / "profile", "evaluation");
  nlohmann::json results = nlohmann::json::array();
  std::vector<std::string> problems;
  for (const auto& [name, split] : loaded.config.data.eval) {
    if (!split.enabled) continue;
    if (!flags.sets.empty() && std::find(flags.sets.begin(), flags.sets.end(), name) == flags.sets.end()) continue;
    results.push_back(evaluate_or_tell(name, loaded, measure, predictions, problems));
    write_file_atomic(output / "results.json", results.dump(2) + "\n", ErrorKind::config);
  }
  if (results.empty()) fail(ErrorKind::config, "none of the sets that --only names is in the configuration");
  if (!predictions.flush()) fail(ErrorKind::config, "cannot write " + shown((output / "predictions.jsonl").string()));
  log::info(fmt::format("results and predictions in {}", output.string()));
  if (!problems.empty())
    fail(ErrorKind::data, join(problems, "; "),
         "look at the samples, check the weights, or try precision.compute = \"fp32\"");
  return 0;
}

}  // namespace

void add_eval(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("eval", "measure on held-out samples, with right, shuffled and removed media");
  auto flags = std::make_shared<EvalFlags>();
  add_open_options(*command, flags->open);
  command->add_option("--only", flags->sets, "names of the sets to evaluate; default: all")->allow_extra_args(false);
  add_checkpoint_flag(*command, flags->open);
  add_adapter_flag(*command, flags->open);
  command->add_option("--output", flags->output,
                      "folder for results.json and predictions.jsonl; default: <run>/eval, or eval");
  add_profile_flag(*command, flags->profile);
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
