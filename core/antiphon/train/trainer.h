// The training loop.
#pragma once
#include <chrono>
#include <exception>
#include <functional>
#include <optional>

#include <antiphon/base/beacon.h>
#include <antiphon/checkpoint/reference.h>
#include <antiphon/component/objective.h>
#include <antiphon/data/loader.h>
#include <antiphon/model/model.h>
#include <antiphon/nn/blocks/recompute.h>
#include <antiphon/nn/token_scores.h>
#include <antiphon/parallel/owners.h>
#include <antiphon/parallel/placement.h>
#include <antiphon/parallel/schedule.h>
#include <antiphon/profile/profiler.h>
#include <antiphon/profile/step_flops.h>
#include <antiphon/train/agreement.h>
#include <antiphon/train/average.h>
#include <antiphon/train/best.h>
#include <antiphon/train/loss_scale.h>
#include <antiphon/train/optimizer.h>
#include <antiphon/train/pairs.h>
#include <antiphon/train/progress.h>
#include <antiphon/train/ramp.h>
#include <antiphon/train/run_checkpoints.h>
#include <antiphon/train/run_folder.h>
#include <antiphon/train/run_length.h>
#include <antiphon/train/step_metrics.h>
#include <antiphon/train/stragglers.h>

namespace antiphon::train {

struct Progress;

struct StepResult {
  double loss = 0, gradient_norm = 0;
  DrawnRecord drawn;                 // of all processes
  StepMetrics metrics;               // of the objective
  double lr_ratio = 0;               // of the learning rate to its peak
  double loss_scale = 1;             // of this step's gradients
  bool skipped = false;              // the gradient was not finite, or there was no memory
  std::vector<int> not_finite = {};  // of several processes those whose own loss was not
};

// When held-out samples are measured.
struct MeasuringTime {
  int64_t step = 0;
  bool last = false;  // of the run
};

// Held-out metrics of the model as it is; `reference`: what the objective compares with, or nullptr.
using Evaluation = std::function<std::map<std::string, double>(checkpoint::Reference* reference, const MeasuringTime&)>;

// too_few_steps: they would not have fitted into train.max_minutes.
enum class RunEnd { trained, too_few_steps };

class Trainer {
 public:
  // All must outlive it. `owners`: who updates whole parameters; nullptr: each process what it has of them.
  Trainer(model::Model& model, Objective& objective, UpdateRule& rule, data::Loader& loader, data::FeatureCache& cache,
          RunFolder& folder, Agreement& agreement, parallel::Placement& placement, parallel::Owners* owners,
          const TrainOptions& options);

  // For a model that computes in fp16. Before resume().
  void scale_loss(const LossScaleOptions& options) { loss_scale_.emplace(options); }
  // Continues from the newest complete checkpoint of the run folder; returns its step, or 0 if there is none.
  // `accept_changes`: even if the data, weights of sources or batch sizes have changed; else that is an Error(weights).
  int64_t resume(bool accept_changes = false);
  // Records steps of run(); nullptr: none. Must outlive it.
  void set_profiler(profile::Profiler* profiler) { profiler_ = profiler; }
  // Measures every train.eval_every steps and after the last.
  void set_evaluation(Evaluation evaluation) { evaluation_ = std::move(evaluation); }
  // Of a step whose objective learns from what the model writes: a row's prompts, answered and scored, as the batch
  // that is trained on. `step`: from 1 on; `seed`: of the answers' random numbers.
  using RollOut = std::function<model::Batch(std::vector<data::PreparedGroup> prompts, int64_t step, uint64_t seed,
                                             StepMetrics& metrics)>;
  void set_roll_out(RollOut roll_out) { roll_out_ = std::move(roll_out); }
  // In which order this process computes its batches of a step, so many of them; without it, one after the other.
  using Passes = std::function<std::vector<parallel::Pass>(int64_t batches)>;
  void set_passes(Passes passes) { passes_ = std::move(passes); }
  // Trains to the end of the steps or of the data, or until the first steps show that fewer than train.min_steps fit,
  // or until a signal: then writes a checkpoint and throws Error(preempted). Returns and throws only once the
  // checkpoint is on disk; the destructor waits for it, too.
  RunEnd run();
  // Puts the averages of train.ema into the model, if they are to be used. It does not train on after that.
  void take_averages();

 private:
  StepResult step();
  void take_rows(int64_t batches);
  std::vector<model::Batch> draw(StepResult& result);
  model::Batch draw_row(int64_t row, StepMetrics& metrics);
  DrawnRecord drawn(const std::vector<model::Batch>& batches) const;
  void compute(std::vector<model::Batch>& batches, StepResult& result);
  void compute_once(std::vector<model::Batch>& batches, StepResult& result);
  void forget_pass();  // before the step is computed once more
  bool compute_if_it_fits(std::vector<model::Batch>& batches, StepResult& result);
  bool split_largest(std::vector<model::Batch>& batches);
  void skip_without_memory(const std::vector<model::Batch>& batches, StepResult& result);
  bool is_verified(const StepResult& result);
  void verify(std::vector<model::Batch> batches, StepResult again, double loss);
  // What is known of a batch before its pass.
  struct Compared {
    at::Tensor reference_n = {};  // its log-probabilities under the reference, if the objective needs them
    ComparedPairs pairs = {};     // if the step's pairs are compared before
  };
  ObjectiveOutput forward_of(model::Batch& batch, const Compared& compared, const parallel::Pass& pass,
                             StepResult& result);
  std::vector<Compared> compare(std::vector<model::Batch>& batches, StepResult& result);
  void compare_all_pairs(std::vector<model::Batch>& batches, std::vector<Compared>& compared, StepResult& result);
  void check_same_pairs(const at::Tensor& scores_sk, const ComparedPairs& before) const;
  uint64_t seed_of_batch(int64_t batch) const;
  StepResult step_or_save();
  int asked_to_stop() const;
  [[noreturn]] void stop(int signal);
  [[noreturn]] void end_without_memory(const std::string& when, const std::string& fix);
  void compute_step(std::vector<model::Batch>& batches, StepResult& result);
  void backward(const ObjectiveOutput& output, StepResult& result);
  nn::TokenScoreOptions score_options() const;
  bool holds(const Parameter& piece) const;
  void begin_reference();
  std::vector<at::Tensor> compare_with_reference(std::vector<model::Batch>& batches);
  void check_is_reference(const std::vector<model::Batch>& batches, const std::vector<at::Tensor>& scores);
  ObjectiveOutput forward(model::Batch& batch, const Compared& compared, uint64_t seed, StepResult& result);
  void update(StepResult& result, const std::vector<std::string>& samples);
  void keep_statistics();
  void put_statistics_back();
  void add_statistics();
  void average_statistics();
  void after_step(const StepResult& result, double seconds, std::map<std::string, double> more);
  std::exception_ptr finish_step(const StepResult& result, const EndedRecord& ended, double flops);
  std::map<std::string, double> evaluate(bool stops);
  void measure_at_end();
  void look_for_stragglers(const std::vector<StepWork>& work);
  bool count_time(double seconds);
  int64_t held_bytes() const;
  RunEnd tell_of_end() const;
  void tell_of_time() const;
  void tell_of_data() const;
  void tell_of_skipped() const;
  std::string count_skipped(const StepResult& result, const std::vector<std::string>& samples);
  int64_t checkpoint_before(int64_t step);
  void go_back(const std::string& why);
  void restore_values(const checkpoint::LoadedCheckpoint& loaded, const Progress& progress);
  std::string blamed(const StepResult& result, const std::vector<std::string>& samples) const;
  bool is_overflow(const StepResult& result) const;
  checkpoint::CheckpointContent content();
  std::string draw_settings() const;
  bool check_draws(const Progress& progress, bool accept_changes) const;
  void save_last();
  void save_if_possible();
  bool is_best(const std::map<std::string, double>& measured);
  void keep_best();
  void measure_what_was_left();
  void measure_by_itself();
  bool keep_is_due() const;
  void keep_this();
  void tell_of_checkpoint(bool wait);
  void count_failed_save(int64_t step, const Error& error);

  model::Model& model_;
  Objective& objective_;
  data::Loader& loader_;
  data::FeatureCache& cache_;
  RunFolder& folder_;
  Agreement& agreement_;
  parallel::Placement& placement_;
  parallel::Owners* owners_;
  TrainOptions options_;
  Optimizer optimizer_;
  std::optional<Average> average_;
  std::optional<LossScale> loss_scale_;
  Best best_;
  bool best_is_due_ = false;      // of the step that has just been measured
  bool unmeasured_ = false;       // a stop came before what was due after this step
  std::vector<Parameter> saved_;  // of every checkpoint
  struct Statistic {
    at::Tensor running, before, sum;  // as it is, before the step, and the sum of what the step's batches make of it
  };
  std::vector<Statistic> statistics_;
  std::optional<checkpoint::Reference> reference_;  // if the objective needs one, from the first step on
  std::optional<nn::Recompute> recompute_;
  RunLength length_;
  Stragglers stragglers_;
  Passes passes_;
  Ramp ramp_;
  int64_t batches_ = 0;             // of the step, of all processes
  std::vector<int64_t> step_rows_;  // of the step and of this process, counted from its first
  data::LoaderState rows_;          // all, after the last whole step
  std::unique_ptr<RunCheckpoints> checkpoints_;
  std::optional<beacon::Slow> saving_;
  bool data_ended_ = false;  // all sources have, so there is no next step
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  int64_t agreed_stop_ = 0;  // why all have agreed that there is no next step, so that they can write a checkpoint
  int64_t step_ = 0, saved_step_ = -1, trained_tokens_ = 0, not_finite_ = 0, failed_saves_ = 0, verified_ = 0;
  int64_t splits_ = 0, skipped_without_memory_ = 0, without_memory_ = 0;  // the last: steps in a row
  int64_t skipped_ = 0, rollbacks_ = 0;  // of the whole run: steps that were not finite; how often it went back
  int64_t learnt_step_ = 0;              // after which what is trained has its values
  double loss_average_ = 0;
  double shown_waited_ = 0, shown_sent_ = 0;
  profile::Profiler* profiler_ = nullptr;
  profile::StepFlops flops_;
  Evaluation evaluation_;
  RollOut roll_out_;
};

// Resident memory of this process in bytes.
double resident_bytes();

}  // namespace antiphon::train
