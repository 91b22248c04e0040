// antiphon train FILE [--resume]
#include <fmt/format.h>

#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/run/export_parts.h>
#include <antiphon/run/held_out.h>
#include <antiphon/run/precision.h>
#include <antiphon/run/training_slots.h>
#include <antiphon/train/trainer.h>
#include <common/command.h>
#include <common/profile.h>

namespace antiphon::apps {
namespace {

// The exit code of a run that stopped because fewer than train.min_steps fit; not an error, so not an ErrorKind.
constexpr int kTooFewSteps = 8;

struct TrainFlags {
  run::OpenOptions open;
  ProfileFlags profile;
  bool resume = false, accept_changes = false;
};

void refuse_leftover(const train::RunFolder& folder, bool resume) {
  if (resume || !checkpoint::has_checkpoints(folder.checkpoints())) return;
  fail(ErrorKind::config, fmt::format("{} holds a run with checkpoints", folder.path().string()),
       "give --resume to go on with it, or another train.output");
}

constexpr const char* kFinished = "finished";  // in a stage's folder: the fingerprint that it was trained to its end by

// Of a stage's configuration as the file says it, before the model fills in the rest.
std::string fingerprint(const run::RunConfig& config) {
  return content_hash(config::to_toml(run::run_table().dump(&config)));
}

int run_one(const TrainFlags& flags) {
  run::LoadedModel loaded(flags.open);
  auto& config = loaded.config;
  if (config.train.output.empty())
    fail(ErrorKind::config, "train.output is missing",
         "name the folder of the run, e.g. --set train.output=runs/first");
  train::RunFolder folder(config.train.output);
  refuse_leftover(folder, flags.resume);
  if (!loaded.prompts.ends_answers())
    log::warning(
        "the chat template writes no token that ends an answer, so the model will not learn to stop\n  fix: name a "
        "template that does in model.llm.chat_template");
  const auto objective = run::build_objective(config.objective);
  run::check_objective(*objective, config.objective.plugin, *loaded.model);
  data::Loader loader(
      config.data, loaded.preparer, config.train.tokens_per_batch, static_cast<uint64_t>(config.train.seed),
      [&](const data::BadSample& bad) {
        log::warning(fmt::format("{}:{}: skipped: {}", shown(bad.file), bad.line, bad.reason));
        folder.bad_sample(bad);
      },
      objective->needs().candidates);
  log::info(fmt::format("data: {} samples in {} sources, {} tokens a batch", loader.rows(),
                        config.data.train.sources.size(), config.train.tokens_per_batch));
  for (const auto& [name, stream] : loaded.lm().streams())
    log::info(fmt::format("  stream {}: {} tokens for its smallest item", name, stream->example_tokens()));
  run::use_linear_format(loaded.lm(), config.precision.linear);
  run::keep_frozen_as(loaded.lm(), config.precision);
  const auto rule = run::build_update_rule(config.train.optimizer);
  train::Alone alone;
  train::Trainer trainer(*loaded.model, *objective, *rule, loader, loaded.cache, folder, alone, config.train);
  const int64_t step = flags.resume ? trainer.resume(flags.accept_changes) : 0;
  if (flags.resume && step == 0) log::info("nothing to resume: starting anew");
  folder.remove_leftovers();
  folder.write_config(loaded.resolved());
  folder.write_environment(loaded.device.str(), model::name_of(loaded.lm().formats()));
  folder.open_logs(step);
  std::optional<run::HeldOut> held_out;
  if (config.train.eval_every > 0) held_out.emplace(loaded, *objective);
  if (held_out) trainer.set_evaluation([&](checkpoint::Reference* reference) { return held_out->measure(reference); });
  const auto profiler = open_profiler(flags.profile, loaded, folder.path() / "profile");
  trainer.set_profiler(profiler.get());
  if (trainer.run() == train::RunEnd::too_few_steps) return kTooFewSteps;
  run::export_parts(*loaded.model, folder.path());
  return 0;
}

// With --resume, a stage that was trained to its end by the same configuration is left as it is.
int run_stage(TrainFlags flags, const std::string& stage) {
  flags.open.stage = stage;
  const auto config = run::read_config(flags.open.file, flags.open.sets, stage);
  const auto mark = std::filesystem::path(config.train.output) / kFinished;
  if (flags.resume && path_exists(mark, ErrorKind::config) &&
      read_file(mark, ErrorKind::config) == fingerprint(config)) {
    log::info(fmt::format("  it has been trained, in {}", config.train.output));
    return 0;
  }
  if (const int code = run_one(flags)) return code;
  write_file_atomic(mark, fingerprint(config), ErrorKind::config);
  return 0;
}

int run_stages(const TrainFlags& flags, const std::vector<std::string>& stages) {
  for (size_t i = 0; i < stages.size(); ++i) {
    log::info(fmt::format("stage {} of {}: {}", i + 1, stages.size(), stages[i]));
    if (const int code = run_stage(flags, stages[i])) return code;
  }
  return 0;
}

int run(const TrainFlags& flags) {
  const auto stages = run::stages_of_file(flags.open.file);
  if (stages.empty()) return run_one(flags);
  return flags.open.stage.empty() ? run_stages(flags, stages) : run_stage(flags, flags.open.stage);
}

}  // namespace

void add_train(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("train", "train what the configuration composes");
  auto flags = std::make_shared<TrainFlags>();
  add_open_options(*command, flags->open);
  command->add_flag("--resume", flags->resume, "go on from the newest complete checkpoint of train.output");
  command
      ->add_flag("--accept-changes", flags->accept_changes,
                 "with --resume: go on though the data, the weights of sources or the sizes of batches are others now")
      ->needs("--resume");
  command->add_option("--stage", flags->open.stage, "only this one of the file's stages; without it all, one by one");
  add_profile_flags(*command, flags->profile);
  command->callback([flags, &action] {
    install_stop_signals();  // before libraries of plugins and weights are loaded
    action = [flags] { return run(*flags); };
  });
}

}  // namespace antiphon::apps
