// antiphon train FILE [--resume]
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/run/export_parts.h>
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

int run(const TrainFlags& flags) {
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
  data::Loader loader(
      config.data, loaded.preparer, config.train.tokens_per_batch, static_cast<uint64_t>(config.train.seed),
      [&](const data::BadSample& bad) {
        log::warning(fmt::format("{}:{}: skipped: {}", shown(bad.file), bad.line, bad.reason));
        folder.bad_sample(bad);
      },
      objective->needs().candidates);
  log::info(fmt::format("data: {} samples in {} sources, {} tokens a batch", loader.rows(),
                        config.data.train.sources.size(), config.train.tokens_per_batch));
  for (const auto& [name, stream] : loaded.model->streams())
    log::info(fmt::format("  stream {}: {} tokens for its smallest item", name, stream->example_tokens()));
  run::use_linear_format(*loaded.model, config.precision.linear);
  run::keep_frozen_as(*loaded.model, config.precision);
  const auto rule = run::build_update_rule(config.train.optimizer);
  train::Trainer trainer(*loaded.model, *objective, *rule, loader, loaded.cache, folder, config.train);
  const int64_t step = flags.resume ? trainer.resume(flags.accept_changes) : 0;
  if (flags.resume && step == 0) log::info("nothing to resume: starting anew");
  folder.remove_leftovers();
  folder.write_config(loaded.resolved());
  folder.write_environment(loaded.device.str(), model::name_of(loaded.model->formats()));
  folder.open_logs(step);
  const auto profiler = open_profiler(flags.profile, loaded, folder.path() / "profile");
  trainer.set_profiler(profiler.get());
  if (trainer.run() == train::RunEnd::too_few_steps) return kTooFewSteps;
  run::export_parts(*loaded.model, folder.path());
  return 0;
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
  add_profile_flags(*command, flags->profile);
  command->callback([flags, &action] {
    install_stop_signals();  // before libraries of plugins and weights are loaded
    action = [flags] { return run(*flags); };
  });
}

}  // namespace antiphon::apps
