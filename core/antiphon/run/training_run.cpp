#include <antiphon/run/training_run.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/writable.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/config/flat_config.h>
#include <antiphon/model/part_slot.h>
#include <antiphon/parallel/put_together.h>
#include <antiphon/profile/tensor_memory.h>
#include <antiphon/run/device.h>
#include <antiphon/run/export_parts.h>
#include <antiphon/run/precision.h>
#include <antiphon/run/training_slots.h>

namespace antiphon::run {
namespace {

// The processes must have met before the model is read, which is in parts.
LoadedModel opened(const OpenOptions& open, Processes& processes) {
  const auto said = read_config(open.file, open.sets, open.stage);
  if (said.train.output.empty())
    fail(ErrorKind::config, "train.output is missing",
         "name the folder of the run, e.g. --set train.output=runs/first");
  check_can_write(std::filesystem::path(said.train.output) / "config.toml", ErrorKind::config);
  processes.meet(said, open_device(open.device));
  check_on_oom(said, processes.group() != nullptr);
  return LoadedModel(open, processes.shared_by());
}

void tell_of_parts(const LoadedModel& loaded) {
  if (loaded.augmenter.any()) log::info("  " + loaded.augmenter.describe());
  for (const auto& part : loaded.model->frozen)
    log::info(fmt::format("  {}: {} of {} trained parameters are frozen, {} values (model.freeze)", part.path,
                          part.frozen, part.all, human_count(static_cast<double>(part.values))));
  for (const auto& [name, stream] : loaded.lm().streams())
    log::info(fmt::format("  stream {}: {} tokens for its smallest item", name, stream->example_tokens()));
}

}  // namespace

void refuse_leftover(const std::filesystem::path& folder, bool resume) {
  if (resume || !checkpoint::has_checkpoints(folder / "checkpoints")) return;
  fail(ErrorKind::config, fmt::format("{} holds a run with checkpoints", folder.string()),
       "give --resume to go on with it, or another train.output");
}

TrainingRun::TrainingRun(TrainingOptions options, Processes& processes)
    : options_(std::move(options)),
      processes_(processes),
      slow_("loading"),
      loaded_(opened(options_.open, processes)),
      config_(loaded_.config),
      folder_(config_.train.output, processes.rank()) {
  refuse_leftover(folder_.path(), options_.resume);
  if (!loaded_.prompts.ends_answers())
    log::warning(
        "the chat template writes no token that ends an answer, so the model will not learn to stop\n  fix: name a "
        "template that does in model.llm.chat_template");
  auto slots = slots_of_training(config_, *loaded_.model);
  check_written(config_, *slots.objective, processes.group() != nullptr);
  objective_ = std::move(slots.objective), rule_ = std::move(slots.rule);
  if (loaded_.model->pairs() && (config_.train.eval_answers > 0 || !config_.train.eval_controls.empty()))
    log::warning(
        "train.eval_answers and train.eval_controls do nothing for a dual encoder, which writes no answers\n"
        "  fix: leave them out; `antiphon eval` measures it with shuffled media");
  open_data();
  start_values();
  place();
  if (objective_->needs().written) roll_out(std::move(slots.rewards));
  const int64_t step = resume();
  open_folder(step);
  if (config_.train.eval_every > 0) hold_out();
  if (options_.profiler && folder_.writes()) profiler_ = options_.profiler(loaded_, folder_.path() / "profile");
  trainer_->set_profiler(profiler_.get());
  if (options_.counts_tensors && loaded_.device.is_cpu()) profile::count_tensors(c10::kCPU);
  slow_.reset();
}

void TrainingRun::open_data() {
  loader_.emplace(
      config_.data, loaded_.preparer, config_.train.tokens_per_batch, static_cast<uint64_t>(config_.train.seed),
      [this](const data::BadSample& bad) {
        if (processes_.cell() && processes_.cell()->rank() > 0) return;  // the first of those who read it says so
        log::warning(fmt::format("{}:{}: skipped: {}", shown(bad.file), bad.line, bad.reason));
        folder_.bad_sample(bad);
      },
      objective_->needs().of_record(), processes_.share(), answer_room(config_, *objective_));
  log::info(fmt::format("data: {} samples in {} sources, {} tokens a batch", loader_->samples(),
                        config_.data.train.sources.size(), config_.train.tokens_per_batch));
  if (config_.data.filter.any()) log::info("  left out: what is beyond " + config_.data.filter.describe());
  if (config_.data.packing.looks_ahead()) log::info("  packed: " + config_.data.packing.describe());
  tell_of_parts(loaded_);
}

// What the model has before its first step, in the formats of training.
void TrainingRun::start_values() {
  use_linear_format(loaded_.lm(), config_.precision.linear, config_.parallel);
  keep_frozen_as(loaded_.lm(), config_.precision);
  if (!options_.resume || !checkpoint::latest_checkpoint(folder_.checkpoints()))
    model::start_methods(*loaded_.model, static_cast<uint64_t>(config_.train.seed));
  keep_trained_as(loaded_.lm(), config_.precision);
}

void TrainingRun::place() {
  const bool go = config_.parallel.fsdp > 1 || config_.parallel.offload_optimizer;
  if (processes_.group() && go) values_ = trained_values(*loaded_.model);  // while they are whole
  processes_.check_parts(*loaded_.model);
  placement_ = processes_.place(*loaded_.model, config_);
  owners_ = processes_.owners(*loaded_.model, *placement_, *rule_);
  trainer_.emplace(*loaded_.model, *objective_, *rule_, *loader_, loaded_.cache, folder_, processes_.agreement(),
                   *placement_, owners_.get(), config_.train);
  trainer_->set_passes([this](int64_t batches) { return processes_.passes(batches); });
  if (loaded_.lm().compute_dtype() == at::kHalf) trainer_->scale_loss(config_.precision.loss_scale);
}

int64_t TrainingRun::resume() {
  const int64_t step = options_.resume ? trainer_->resume(options_.accept_changes) : 0;
  if (options_.resume && step == 0) log::info("nothing to resume: starting anew");
  auto* group = processes_.group();
  if (!group) return step;
  if (values_.empty()) values_ = trained_values(*loaded_.model);
  if (step > 0)
    values_ += read_file(checkpoint::path_of(folder_.checkpoints(), step) / "manifest.json", ErrorKind::weights);
  check_same(*group, config_, *loader_, step, values_);
  return step;
}

// All processes of a run write into one folder, and the first of them all but bad samples.
void TrainingRun::open_folder(int64_t step) {
  auto* group = processes_.group();
  if (group && !folder_.writes()) group->wait_for_all();
  folder_.remove_leftovers();
  folder_.write_config(loaded_.resolved());
  const bool narrow = config_.precision.trained == "bf16";
  folder_.write_environment(loaded_.device.str(),
                            model::name_of(loaded_.lm().formats()) + (narrow ? ", trained in bf16" : ""));
  folder_.open_logs(step, config_.train, config::flat_config(run_table().dump(&config_)));
  if (group && folder_.writes()) group->wait_for_all();
}

void TrainingRun::hold_out() {
  held_out_.emplace(loaded_, *objective_, *placement_, processes_.mesh(), processes_.group(), processes_.block());
  trainer_->set_evaluation([this](checkpoint::Reference* reference, const train::MeasuringTime& time) {
    auto values = held_out_->measure(reference, held_out_->wants_answers(time.step, time.last));
    folder_.answers(time.step, held_out_->answers());
    return values;
  });
}

void TrainingRun::roll_out(std::vector<WeightedReward> rewards) {
  roll_out_.emplace(loaded_, std::move(rewards), *answer_room(config_, *objective_));
  trainer_->set_roll_out(
      [this](std::vector<data::PreparedGroup> prompts, int64_t step, uint64_t seed, train::StepMetrics& metrics) {
        auto batch = (*roll_out_)(std::move(prompts), step, seed, metrics);
        folder_.rollouts(step, roll_out_->shown());
        return batch;
      });
}

train::RunEnd TrainingRun::train() {
  const auto end = trainer_->run();
  if (loaded_.augmenter.any()) log::info("augmented by this process: " + loaded_.augmenter.counts());
  slow_.emplace("writing results");
  trainer_->take_averages();
  placement_->make_usable();
  for (const auto& peft : loaded_.lm().pefts()) placement_->make_whole(peft.also_trained());
  if (processes_.block())
    for (const auto& peft : loaded_.lm().pefts()) {
      parallel::put_together(peft.method->module().parameters(), *processes_.block());
      parallel::put_together(peft.also_trained(), *processes_.block());
    }
  close(end);
  return end;
}

// Once all have trained to the end. What comes next, another stage, may read what is written here.
void TrainingRun::close(train::RunEnd end) {
  auto* group = processes_.group();
  if (group) group->wait_for_all();
  if (group && folder_.writes()) folder_.take_over_bad_samples();
  if (end == train::RunEnd::trained && folder_.writes()) export_parts(*loaded_.model, folder_.path());
  if (group) group->wait_for_all();
  if (end == train::RunEnd::trained) folder_.finished();
}

}  // namespace antiphon::run
