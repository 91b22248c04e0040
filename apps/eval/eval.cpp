// antiphon eval FILE [--set-name …]: losses and answers on held-out samples, with the controls.
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/shown.h>
#include <antiphon/data/loader.h>
#include <antiphon/data/manifest.h>
#include <antiphon/infer/controls.h>
#include <common/command.h>
#include <common/profile.h>
#include <common/sample_parts.h>
#include <eval/table.h>

namespace antiphon::apps {
namespace {

struct EvalFlags {
  SessionFlags session;
  ProfileFlags profile;
  std::vector<std::string> sets;
  std::string output;
};

struct LoadedSet {
  std::vector<data::Sample> samples;
  std::vector<data::BadSample> bad;
};

// Samples that cannot be prepared are listed and left out of every condition, so that pairs stay pairs.
LoadedSet load_set(const data::SplitOptions& split, const Session& session) {
  LoadedSet set;
  const auto limit = session.config.eval.limit;
  for (const auto& source : split.sources) {
    const data::Manifest manifest(source.path);
    for (int64_t i = 0; i < manifest.size() && (limit == 0 || static_cast<int64_t>(set.samples.size()) < limit); ++i) {
      try {
        auto sample = manifest.sample(i);
        session.preparer.prepare(sample, data::Purpose::training);
        set.samples.push_back(std::move(sample));
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::data) throw;
        set.bad.push_back({manifest.path().string(), "", error.what(), manifest.line(i)});
        log::warning(
            fmt::format("{}:{}: skipped: {}", shown(manifest.path().string()), manifest.line(i), error.what()));
      }
    }
  }
  if (set.samples.empty()) fail(ErrorKind::data, "the set has no good sample", "look at the warnings above");
  return set;
}

bool holds(const std::vector<data::Sample>& samples, Modality modality) {
  for (const auto& sample : samples)
    for (const auto& media : sample.media)
      if (media.modality == modality) return true;
  return false;
}

// Where a set has several kinds of media, each is also shuffled alone.
std::vector<std::pair<std::string, std::vector<data::Sample>>> conditions_of(const std::vector<data::Sample>& samples,
                                                                             const infer::EvalOptions& options) {
  std::vector<std::pair<std::string, std::vector<data::Sample>>> all{{"right", samples}};
  std::vector<Modality> kinds;
  for (const auto modality : {Modality::image, Modality::audio, Modality::video})
    if (holds(samples, modality)) kinds.push_back(modality);
  const auto seed = static_cast<uint64_t>(options.seed);
  for (const auto& control : options.controls) {
    if (kinds.empty()) continue;
    if (control == "removed") all.emplace_back(control, infer::without_media(samples));
    if (control != "shuffled") continue;
    all.emplace_back(control, infer::with_shuffled_media(samples, seed));
    if (kinds.size() == 1) continue;
    for (const auto kind : kinds)
      all.emplace_back(fmt::format("shuffled_{}", to_string(kind)), infer::with_shuffled_media(samples, seed, {kind}));
  }
  return all;
}

void write_predictions(std::ofstream& out, const std::string& set, const std::vector<data::Sample>& samples,
                       const Condition& condition) {
  for (size_t i = 0; i < samples.size(); ++i) {
    nlohmann::json record{{"set", set},
                          {"media", condition.name},
                          {"id", samples[i].id},
                          {"file", samples[i].file.string()},
                          {"line", samples[i].line},
                          {"expected", infer::expected_answer(samples[i])},
                          {"predicted", condition.outcomes[i].predicted},
                          {"loss", condition.outcomes[i].loss}};
    for (const auto& [key, value] : samples[i].tags) record["tags"][key] = value;
    if (condition.name == "right")  // what a report shows; a relative manifest may be out of reach then
      record["question"] = question_of(samples[i]), record["media_files"] = media_files_of(samples[i]);
    out << record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  }
}

nlohmann::json evaluate(const std::string& name, Session& session, std::ofstream& predictions) {
  const auto set = load_set(session.config.data.eval.at(name), session);
  const auto variants = conditions_of(set.samples, session.config.eval);
  const infer::Evaluator evaluator{*session.model,      *session.loss, session.preparer,
                                   session.tokenizer(), session.cache, session.config.eval};
  std::vector<Condition> conditions;
  size_t done = 0;
  for (const auto& [label, samples] : variants) {
    // What one kind of media alone contributes is read off the loss; answers would double the time.
    const bool answers = session.config.eval.generate && !label.starts_with("shuffled_");
    conditions.push_back({label, answers, evaluator.run(samples, answers, [&](size_t n) {
                            done += n;
                            show_progress(
                                fmt::format("{}: {} ({}/{})", name, label, done, variants.size() * set.samples.size()));
                          })});
    write_predictions(predictions, name, set.samples, conditions.back());
  }
  finish_progress();
  auto scores = score(name, set.samples, conditions, session.config.eval);
  scores["skipped"] = set.bad.size();
  return scores;
}

int run(const EvalFlags& flags) {
  Session session(flags.session);
  session.load_for_inference(flags.session);
  if (session.config.data.eval.empty())
    fail(ErrorKind::config, "there is nothing to evaluate", "add [[data.eval.NAME.sources]] with a path");
  std::filesystem::path output = flags.output;
  if (output.empty()) {
    const std::filesystem::path file = flags.session.file;
    output = std::filesystem::is_directory(file) ? file / "eval" : std::filesystem::path("eval");
  }
  std::filesystem::create_directories(output);
  std::ofstream predictions(output / "predictions.jsonl");
  if (!predictions) fail(ErrorKind::config, "cannot write " + (output / "predictions.jsonl").string());
  const ProfiledRun profiled(flags.profile, session, output / "profile", "evaluation");
  nlohmann::json results = nlohmann::json::array();
  for (const auto& [name, split] : session.config.data.eval) {
    if (!split.enabled) continue;
    if (!flags.sets.empty() && std::find(flags.sets.begin(), flags.sets.end(), name) == flags.sets.end()) continue;
    results.push_back(evaluate(name, session, predictions));
    print_scores(results.back());
  }
  if (results.empty()) fail(ErrorKind::config, "none of the sets that --only names is in the configuration");
  write_file_atomic(output / "results.json", results.dump(2) + "\n", ErrorKind::config);
  log::info(fmt::format("results and predictions in {}", output.string()));
  return 0;
}

}  // namespace

void add_eval(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("eval", "measure on held-out samples, with right, shuffled and removed media");
  auto flags = std::make_shared<EvalFlags>();
  add_session_flags(*command, flags->session);
  command->add_option("--only", flags->sets, "names of the sets to evaluate; default: all")->allow_extra_args(false);
  add_checkpoint_flag(*command, flags->session);
  command->add_option("--output", flags->output,
                      "folder for results.json and predictions.jsonl; default: <run>/eval, or eval");
  add_profile_flag(*command, flags->profile);
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
