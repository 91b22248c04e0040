// antiphon train FILE [--resume]
#include <fmt/format.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/model/part_slot.h>
#include <antiphon/parallel/put_together.h>
#include <antiphon/run/device.h>
#include <antiphon/run/export_parts.h>
#include <antiphon/run/held_out.h>
#include <antiphon/run/precision.h>
#include <antiphon/run/processes.h>
#include <antiphon/run/training_slots.h>
#include <antiphon/train/trainer.h>
#include <train/flags.h>
#include <train/flat_config.h>

namespace antiphon::apps {
namespace {

void refuse_leftover(const std::filesystem::path& folder, bool resume) {
  if (resume || !checkpoint::has_checkpoints(folder / "checkpoints")) return;
  fail(ErrorKind::config, fmt::format("{} holds a run with checkpoints", folder.string()),
       "give --resume to go on with it, or another train.output");
}

constexpr const char* kFinished = "finished";  // in a stage's folder: the fingerprint that it was trained to its end by

// Of a stage's configuration as the file says it, before the model fills in the rest.
std::string fingerprint(const run::RunConfig& config) {
  return content_hash(config::to_toml(run::run_table().dump(&config)));
}

// All processes of a run write into one folder, and the first of them all but bad samples.
void open_folder(train::RunFolder& folder, const run::LoadedModel& loaded, comm::Group* group, int64_t step) {
  if (group && !folder.writes()) group->wait_for_all();
  folder.remove_leftovers();
  folder.write_config(loaded.resolved());
  const bool narrow = loaded.config.precision.trained == "bf16";
  folder.write_environment(loaded.device.str(),
                           model::name_of(loaded.lm().formats()) + (narrow ? ", trained in bf16" : ""));
  folder.open_logs(step, loaded.config.train, flat_config(run::run_table().dump(&loaded.config)));
  if (group && folder.writes()) group->wait_for_all();
}

// Once all have trained to the end. What comes next, another stage, may read what is written here.
void close_folder(train::RunFolder& folder, run::LoadedModel& loaded, comm::Group* group, train::RunEnd end) {
  if (group) group->wait_for_all();
  if (group && folder.writes()) folder.take_over_bad_samples();
  if (end == train::RunEnd::trained && folder.writes()) run::export_parts(*loaded.model, folder.path());
  if (group) group->wait_for_all();
  if (end == train::RunEnd::trained) folder.finished();
}

int run_one(const TrainFlags& flags, run::Processes& processes) {
  std::optional<beacon::Slow> slow("loading");
  const auto said = run::read_config(flags.open.file, flags.open.sets, flags.open.stage);
  if (said.train.output.empty())
    fail(ErrorKind::config, "train.output is missing",
         "name the folder of the run, e.g. --set train.output=runs/first");
  processes.meet(said, run::open_device(flags.open.device));
  run::LoadedModel loaded(flags.open, processes.shared_by());
  auto& config = loaded.config;
  auto* group = processes.group();
  train::RunFolder folder(config.train.output, processes.rank());
  refuse_leftover(folder.path(), flags.resume);
  if (!loaded.prompts.ends_answers())
    log::warning(
        "the chat template writes no token that ends an answer, so the model will not learn to stop\n  fix: name a "
        "template that does in model.llm.chat_template");
  const auto objective = run::build_objective(config.objective);
  run::check_objective(*objective, config.objective.plugin, *loaded.model);
  run::check_smoothing(*objective, config.objective.plugin, config.train);
  data::Loader loader(
      config.data, loaded.preparer, config.train.tokens_per_batch, static_cast<uint64_t>(config.train.seed),
      [&](const data::BadSample& bad) {
        if (processes.cell() && processes.cell()->rank() > 0) return;  // the first of those who read it says so
        log::warning(fmt::format("{}:{}: skipped: {}", shown(bad.file), bad.line, bad.reason));
        folder.bad_sample(bad);
      },
      objective->needs().candidates, processes.share());
  log::info(fmt::format("data: {} samples in {} sources, {} tokens a batch", loader.samples(),
                        config.data.train.sources.size(), config.train.tokens_per_batch));
  if (config.data.filter.any()) log::info("  left out: what is beyond " + config.data.filter.describe());
  if (config.data.packing.looks_ahead()) log::info("  packed: " + config.data.packing.describe());
  if (loaded.augmenter.any()) log::info("  " + loaded.augmenter.describe());
  for (const auto& [name, stream] : loaded.lm().streams())
    log::info(fmt::format("  stream {}: {} tokens for its smallest item", name, stream->example_tokens()));
  run::use_linear_format(loaded.lm(), config.precision.linear, config.parallel);
  run::keep_frozen_as(loaded.lm(), config.precision);
  if (!flags.resume || !checkpoint::latest_checkpoint(folder.checkpoints()))
    model::start_methods(*loaded.model, static_cast<uint64_t>(config.train.seed));
  run::keep_trained_as(loaded.lm(), config.precision);
  const auto rule = run::build_update_rule(config.train.optimizer);
  auto values = group && config.parallel.fsdp > 1 ? run::trained_values(*loaded.model) : "";  // while they are whole
  processes.check_parts(*loaded.model);
  const auto placement = processes.place(*loaded.model, config);
  const auto owners = processes.owners(*loaded.model, *placement, *rule);
  train::Trainer trainer(*loaded.model, *objective, *rule, loader, loaded.cache, folder, processes.agreement(),
                         *placement, owners.get(), config.train);
  trainer.set_passes(processes.passes());
  if (loaded.lm().compute_dtype() == at::kHalf) trainer.scale_loss(config.precision.loss_scale);
  const int64_t step = flags.resume ? trainer.resume(flags.accept_changes) : 0;
  if (flags.resume && step == 0) log::info("nothing to resume: starting anew");
  if (group && values.empty()) values = run::trained_values(*loaded.model);
  if (group && step > 0)
    values += read_file(folder.checkpoints() / fmt::format("step_{}/manifest.json", step), ErrorKind::weights);
  if (group) run::check_same(*group, config, loader, step, values);
  open_folder(folder, loaded, group, step);
  std::optional<run::HeldOut> held_out;
  if (config.train.eval_every > 0) held_out.emplace(loaded, *objective, *placement, processes.mesh(), group);
  if (held_out)
    trainer.set_evaluation([&](checkpoint::Reference* reference, const train::MeasuringTime& time) {
      auto values = held_out->measure(reference, held_out->wants_answers(time.step, time.last));
      folder.answers(time.step, held_out->answers());
      return values;
    });
  const auto profiler = folder.writes() ? open_profiler(flags.profile, loaded, folder.path() / "profile") : nullptr;
  trainer.set_profiler(profiler.get());
  slow.reset();
  const auto end = trainer.run();
  if (loaded.augmenter.any()) log::info("augmented by this process: " + loaded.augmenter.counts());
  slow.emplace("writing results");
  trainer.take_averages();
  placement->make_usable();
  for (const auto& peft : loaded.lm().pefts()) placement->make_whole(peft.also_trained());
  if (processes.block())
    for (const auto& peft : loaded.lm().pefts()) {
      parallel::put_together(peft.method->module().parameters(), *processes.block());
      parallel::put_together(peft.also_trained(), *processes.block());
    }
  close_folder(folder, loaded, group, end);
  return end == train::RunEnd::too_few_steps ? kTooFewSteps : 0;
}

// With --resume, a stage that was trained to its end by the same configuration is left as it is.
int run_stage(TrainFlags flags, run::Processes& processes, const std::string& stage) {
  flags.open.stage = stage;
  const auto config = run::read_config(flags.open.file, flags.open.sets, stage);
  const auto mark = std::filesystem::path(config.train.output) / kFinished;
  if (flags.resume && path_exists(mark, ErrorKind::config) &&
      read_file(mark, ErrorKind::config) == fingerprint(config)) {
    log::info(fmt::format("  it has been trained, in {}", config.train.output));
    return 0;
  }
  if (const int code = run_one(flags, processes)) return code;
  if (processes.rank() == 0) write_file_atomic(mark, fingerprint(config), ErrorKind::config);
  return 0;
}

// A later stage must not be found to be another run's once hours have gone into the first.
void refuse_leftovers(const TrainFlags& flags, const std::vector<std::string>& stages) {
  for (const auto& stage : stages)
    refuse_leftover(run::read_config(flags.open.file, flags.open.sets, stage).train.output, flags.resume);
}

int run_stages(const TrainFlags& flags, run::Processes& processes, const std::vector<std::string>& stages) {
  refuse_leftovers(flags, stages);
  for (size_t i = 0; i < stages.size(); ++i) {
    log::info(fmt::format("stage {} of {}: {}", i + 1, stages.size(), stages[i]));
    if (const int code = run_stage(flags, processes, stages[i])) return code;
  }
  return 0;
}

int run(const TrainFlags& flags) {
  run::Processes processes;
  const auto stages = run::stages_of_file(flags.open.file);
  if (stages.empty()) return run_one(flags, processes);
  return flags.open.stage.empty() ? run_stages(flags, processes, stages)
                                  : run_stage(flags, processes, flags.open.stage);
}

}  // namespace

void add_train(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("train", "train what the configuration composes");
  auto flags = std::make_shared<TrainFlags>();
  add_train_flags(*command, *flags);
  command->callback([flags, &action] {
    install_stop_signals();  // before libraries of plugins and weights are loaded
    action = [flags] { return run(*flags); };
  });
}

}  // namespace antiphon::apps
