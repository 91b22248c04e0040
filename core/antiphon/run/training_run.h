// One run of training: what a configuration composes, put together, trained and written.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <antiphon/base/beacon.h>
#include <antiphon/component/objective.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/data/loader.h>
#include <antiphon/parallel/owners.h>
#include <antiphon/parallel/placement.h>
#include <antiphon/profile/profiler.h>
#include <antiphon/run/held_out.h>
#include <antiphon/run/loaded_model.h>
#include <antiphon/run/processes.h>
#include <antiphon/run/roll_out.h>
#include <antiphon/train/run_folder.h>
#include <antiphon/train/trainer.h>

namespace antiphon::run {

struct TrainingOptions {
  OpenOptions open;
  bool resume = false;          // go on from the newest complete checkpoint of train.output
  bool accept_changes = false;  // though the data, the weights of sources or the sizes of batches are others now
  // What records steps, into a folder; nothing if none are to be.
  std::function<std::unique_ptr<profile::Profiler>(const LoadedModel&, const std::filesystem::path&)> profiler = {};
  bool counts_tensors = false;  // on the CPU, in every process: each step says what they took
};

// Error(config) if `folder` holds a run with checkpoints and none is to be gone on with.
void refuse_leftover(const std::filesystem::path& folder, bool resume);

class TrainingRun {
 public:
  // Meets the other processes, opens the model and the data, puts the model's parts where [parallel] says and goes back
  // to the checkpoint, if there is one to go on from. `processes` must outlive it.
  TrainingRun(TrainingOptions options, Processes& processes);
  // Trains, and writes what others can use of the model. Error(preempted) if it was stopped; its checkpoint is written.
  train::RunEnd train();

 private:
  void open_data();
  void start_values();
  void place();
  int64_t resume();
  void open_folder(int64_t step);
  void hold_out();
  void roll_out(std::vector<WeightedReward> rewards);
  void close(train::RunEnd end);

  TrainingOptions options_;
  Processes& processes_;
  std::optional<beacon::Slow> slow_;
  LoadedModel loaded_;
  RunConfig& config_;
  train::RunFolder folder_;
  std::unique_ptr<Objective> objective_;
  std::optional<data::Loader> loader_;
  std::unique_ptr<UpdateRule> rule_;
  std::string values_;  // hashes of what is trained, once it is known; of several processes
  std::unique_ptr<parallel::Placement> placement_;
  std::unique_ptr<parallel::Owners> owners_;
  std::optional<train::Trainer> trainer_;
  std::optional<HeldOut> held_out_;
  std::optional<RollOut> roll_out_;
  std::unique_ptr<profile::Profiler> profiler_;
};

}  // namespace antiphon::run
