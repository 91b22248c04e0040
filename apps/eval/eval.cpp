// antiphon eval FILE [--only SET …]: losses and answers on held-out samples, with the controls.
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/writable.h>
#include <antiphon/run/evaluation.h>
#include <common/command.h>
#include <common/profile.h>
#include <eval/table.h>

#include <algorithm>
#include <cerrno>

namespace antiphon::apps {
namespace {

struct EvalFlags {
  run::OpenOptions open;
  ProfileFlags profile;
  std::vector<std::string> only;
  std::string output;

  bool wants(const std::string& set) const { return only.empty() || std::ranges::find(only, set) != only.end(); }
};

// <run>/eval, or eval.
std::filesystem::path output_of(const EvalFlags& flags) {
  if (!flags.output.empty()) return flags.output;
  const std::filesystem::path file = flags.open.file;
  return run::is_run_folder(file) ? file / "eval" : std::filesystem::path("eval");
}

// A set that cannot be evaluated does not affect the others.
nlohmann::json evaluate_or_tell(const std::string& name, run::Evaluation& evaluation, std::ofstream& predictions,
                                std::vector<std::string>& problems) {
  try {
    auto scores = evaluation.measure(name, predictions, [](const std::string& text) { show_progress(text); });
    finish_progress();
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
  const auto output = output_of(flags), listed = output / "predictions.jsonl";
  for (const auto& file : {output / "results.json", listed}) check_can_write(file, ErrorKind::config);
  run::LoadedModel loaded(flags.open);
  run::Evaluation evaluation(loaded, flags.open);
  make_folder(output, ErrorKind::config);
  std::ofstream predictions(listed);
  if (!predictions) fail_path(ErrorKind::config, "write", listed, errno);
  const ProfiledRun profiled(flags.profile, loaded, output / "profile", "evaluation");
  nlohmann::json results = nlohmann::json::array();
  std::vector<std::string> problems;
  for (const auto& [name, split] : loaded.config.data.eval) {
    if (!split.enabled || !flags.wants(name)) continue;
    results.push_back(evaluate_or_tell(name, evaluation, predictions, problems));
    write_file_atomic(output / "results.json", results.dump(2) + "\n", ErrorKind::config);
  }
  if (results.empty()) fail(ErrorKind::config, "none of the sets that --only names is in the configuration");
  if (!predictions.flush()) fail_path(ErrorKind::config, "write", listed, errno);
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
  command->add_option("--only", flags->only, "names of the sets to evaluate; default: all")->allow_extra_args(false);
  add_checkpoint_flag(*command, flags->open);
  add_adapter_flag(*command, flags->open);
  command->add_option("--output", flags->output,
                      "folder for results.json and predictions.jsonl; default: <run>/eval, or eval");
  add_profile_flag(*command, flags->profile);
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace antiphon::apps
