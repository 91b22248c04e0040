// The [train], [precision] and [parallel] parts of a configuration.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include <antiphon/config/schema.h>
#include <antiphon/train/mlflow_options.h>

namespace antiphon::train {

// The keys that every optimizer has; `options` are the component's own.
struct OptimizerOptions {
  std::string name = "adamw";
  double lr = 2e-4, weight_decay = 0.0;
  config::Value options = config::Value::Table{};
};

// Parameters whose name matches take these in place of the optimizer's own. Without a decay that is the optimizer's,
// which vectors do not have.
struct GroupOptions {
  std::string match;
  double lr = 0;
  std::optional<double> weight_decay;
};

struct ScheduleOptions {
  std::string name = "cosine";
  int64_t warmup_steps = 0;
  double min_ratio = 0.0;
  int64_t hold_steps = 0, constant_steps = 0, decay_steps = 0;
  std::string decay = "linear";
  double power = 1.0;
};

// Fewer batches a step at first; see ramp.h. 0: none.
struct RampOptions {
  int64_t from = 0, by = 1, every = 100;
};

constexpr int64_t kMaxSteps = 1'000'000'000;  // of a run

// Steps that are computed twice; see trainer_verify.cpp. 0: none.
struct VerifyOptions {
  int64_t every = 0;
  double spike = 0;
};

// Moving averages of what is trained; see average.h. A decay of 0: none.
struct EmaOptions {
  double decay = 0;
  bool use = true;
};

// A component that says what an answer is worth, and its part in the sum of all; `options` are the component's own.
struct RewardOptions {
  std::string plugin;
  double weight = 1;
  config::Value options = config::Value::Table{};
};

// Of objectives that learn from what the model writes; see run/roll_out.h.
struct RolloutOptions {
  int64_t max_tokens = 64, shown = 16;
  std::string truncated = "keep";
  std::vector<RewardOptions> rewards;
};

struct TrainOptions {
  std::string output;
  int64_t steps = 1000, min_steps = 0;
  double max_minutes = 0, stop_after_minutes = 0;
  int64_t tokens_per_batch = 2048, accumulate = 1, logits_chunk = 256;
  RampOptions ramp;
  config::Value recompute = "none";  // see recompute.h
  bool offload_activations = false;
  std::string on_oom = "stop";  // see trainer_memory.cpp
  int64_t rollbacks = 0;        // see trainer_not_finite.cpp
  OptimizerOptions optimizer;
  std::vector<GroupOptions> groups;
  ScheduleOptions schedule;
  double clip_norm = 1.0, label_smoothing = 0.0, z_loss = 0.0;
  int64_t checkpoint_every = 200, keep_checkpoints = 2, eval_every = 0;
  double keep_minutes = 0;
  int64_t eval_answers = 0, eval_answers_every = 1;
  std::vector<std::string> eval_controls = {};
  double straggler_ratio = 1.5;
  int64_t keep_best = 0, patience = 0;
  std::string best_metric = "", best_mode = "min";
  EmaOptions ema;
  VerifyOptions verify;
  RolloutOptions rollout;
  std::vector<std::string> loggers = {"tensorboard"};
  MlflowOptions mlflow;
  int64_t seed = 0;
};

// Of train/loss_scale.h, with compute = "fp16".
struct LossScaleOptions {
  double initial = 65536, growth = 2, backoff = 0.5;
  int64_t interval = 2000;
};

struct PrecisionOptions {
  std::string compute = "auto", linear = "", weights = "", trained = "fp32";
  LossScaleOptions loss_scale = {};
};

// How several processes train together.
struct ParallelOptions {
  int64_t replicate = 0, fsdp = 1, pipeline = 1, expert = 1, context = 1, tensor = 1, timeout_seconds = 600;
  bool reshard = true, shard_frozen = false, offload_frozen = false, offload_optimizer = false;
  std::string schedule = "1f1b";
  int64_t chunks = 1;
  std::vector<int64_t> layers_per_stage = {};
  std::string interface = "lo";
};

const config::Table<TrainOptions>& train_table();
const config::Table<PrecisionOptions>& precision_table();
const config::Table<ParallelOptions>& parallel_table();

}  // namespace antiphon::train
