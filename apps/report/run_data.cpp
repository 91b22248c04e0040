#include <report/run_data.h>

#include <fmt/format.h>

#include <antiphon/base/files.h>
#include <antiphon/base/json.h>
#include <antiphon/base/paths.h>
#include <report/skipped.h>

namespace antiphon::apps::report {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string folder_name(const fs::path& path) {
  const auto clean = absolute_path(path, ErrorKind::config).lexically_normal();
  return (clean.has_filename() ? clean : clean.parent_path()).filename().string();
}

void check_run_folder(const fs::path& path) {
  const std::string fix = "give the folder that train.output named, e.g. runs/first";
  if (!is_folder(path, ErrorKind::config))
    fail(ErrorKind::config, fmt::format("there is no folder {}", path.string()), fix);
  if (!path_exists(path / "config.toml", ErrorKind::config) && !path_exists(path / "metrics.jsonl", ErrorKind::config))
    fail(ErrorKind::config,
         fmt::format("{} is not a run folder: it holds neither config.toml nor metrics.jsonl", path.string()), fix);
}

json read_json(const fs::path& path, json otherwise, RunData& run) {
  if (!path_exists(path, ErrorKind::config)) return otherwise;
  auto found = parse_json(read_file(path, ErrorKind::config));
  if (found.type() == otherwise.type()) return found;
  run.notes.push_back(fmt::format("{} is damaged and was not read.", path.filename().string()));
  return otherwise;
}

void read_configuration(RunData& run) {
  try {
    run.config = json::parse(config::to_json(config::load_toml(run.path / "config.toml")));
  } catch (const Error& error) {
    run.notes.push_back(fmt::format("The configuration is unknown: {}", error.message()));
  }
}

void note_lines(const LineCounts& lines, const char* file, RunData& run) {
  if (lines.broken > 0)
    run.notes.push_back(fmt::format("{} of {} held no JSON object and {} left out.",
                                    lines.broken == 1 ? "1 line" : fmt::format("{} lines", lines.broken), file,
                                    lines.broken == 1 ? "was" : "were"));
  if (lines.cut) run.notes.push_back(fmt::format("The last line of {} is half written and was left out.", file));
}

void read_data_stats(RunData& run) {
  auto stats = read_json(run.path / "data_stats.json", json::object(), run);
  if (auto sources = stats.find("sources"); sources != stats.end() && sources->is_array()) run.data = *sources;
}

void note_missing(RunData& run) {
  if (run.training.lines.good == 0) run.notes.emplace_back("There are no metrics yet: the run has not made a step.");
  if (run.results.empty() && run.predictions.all.empty())
    run.notes.push_back(fmt::format("There is no evaluation yet; this adds one:  antiphon eval {}", run.path.string()));
}

}  // namespace

RunData read_run(const fs::path& path) {
  check_run_folder(path);
  RunData run;
  run.name = folder_name(path), run.path = path;
  read_configuration(run);
  run.env = read_json(path / "env.json", json::object(), run);
  read_data_stats(run);
  run.results = read_json(path / "eval" / "results.json", json::array(), run);
  run.training = read_training(path / "metrics.jsonl");
  run.skipped = skipped_samples(path / "bad_samples.jsonl");
  run.predictions = read_predictions(path / "eval" / "predictions.jsonl");
  run.answers = training_answers(path / "answers.jsonl");
  note_lines(run.answers.lines, "answers.jsonl", run);
  note_lines(run.training.lines, "metrics.jsonl", run);
  note_lines(run.predictions.lines, "eval/predictions.jsonl", run);
  note_missing(run);
  return run;
}

}  // namespace antiphon::apps::report
