#include <antiphon/run/train_file.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/writable.h>
#include <antiphon/comm/group.h>
#include <antiphon/comm/leave.h>
#include <antiphon/comm/out_of_memory.h>

namespace antiphon::run {
namespace {

constexpr const char* kFinished = "finished";  // in a stage's folder: the fingerprint that it was trained to its end by

// Of a stage's configuration as the file says it, before the model fills in the rest.
std::string fingerprint(const RunConfig& config) { return content_hash(config::to_toml(run_table().dump(&config))); }

train::RunEnd train_stage(TrainingOptions options, Processes& processes, const std::string& stage) {
  options.open.stage = stage;
  const auto config = read_config(options.open.file, options.open.sets, stage);
  const auto mark = std::filesystem::path(config.train.output) / kFinished;
  if (options.resume && path_exists(mark, ErrorKind::config) &&
      read_file(mark, ErrorKind::config) == fingerprint(config)) {
    log::info(fmt::format("  it has been trained, in {}", config.train.output));
    return train::RunEnd::trained;
  }
  const auto end = TrainingRun(options, processes).train();
  if (end == train::RunEnd::trained && processes.rank() == 0)
    write_file_atomic(mark, fingerprint(config), ErrorKind::config);
  return end;
}

train::RunEnd train_stages(const TrainingOptions& options, Processes& processes,
                           const std::vector<std::string>& stages) {
  // A later stage must not be found to be another run's, or nowhere to write, once hours have gone into the first.
  for (const auto& stage : stages) {
    const std::filesystem::path output = read_config(options.open.file, options.open.sets, stage).train.output;
    refuse_leftover(output, options.resume);
    check_can_write(output / kFinished, ErrorKind::config);
  }
  for (size_t i = 0; i < stages.size(); ++i) {
    log::info(fmt::format("stage {} of {}: {}", i + 1, stages.size(), stages[i]));
    const auto end = train_stage(options, processes, stages[i]);
    if (end != train::RunEnd::trained) return end;
  }
  return train::RunEnd::trained;
}

train::RunEnd train_all(const TrainingOptions& options, Processes& processes) {
  const auto stages = stages_of_file(options.open.file);
  if (stages.empty()) return TrainingRun(options, processes).train();
  return options.open.stage.empty() ? train_stages(options, processes, stages)
                                    : train_stage(options, processes, options.open.stage);
}

}  // namespace

// Of steps the trainer says more; a model may be too large to be loaded.
train::RunEnd train_file(const TrainingOptions& options, Processes& processes) {
  try {
    return train_all(options, processes);
  } catch (const std::exception& error) {
    auto* group = processes.group();
    if (!group || !comm::is_out_of_memory(error)) throw;
    comm::leave({ErrorKind::memory, fmt::format("process {} of {} is out of memory", group->rank(), group->size()),
                 "lower train.tokens_per_batch, or divide the model among more processes ([parallel]; `antiphon plan` "
                 "says what each holds)"});
  }
}

}  // namespace antiphon::run
