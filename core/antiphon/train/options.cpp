#include <antiphon/train/options.h>

#include <antiphon/checkpoint/checkpoint.h>

namespace antiphon::train {
namespace {

const config::Table<OptimizerOptions>& optimizer_table() {
  using O = OptimizerOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("optimizer")
          .field("name", &O::name, "name of the component, see `antiphon inspect`")
          .field("lr", &O::lr, "peak learning rate", {.min = 0, .above_min = true})
          .field("weight_decay", &O::weight_decay, "decoupled decay; vectors (norms, biases) have none", {.min = 0})
          .rest(&O::options));
  return *table;
}

const config::Table<GroupOptions>& group_table() {
  using O = GroupOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("group")
          .field("match", &O::match, "glob over parameter names, e.g. \"streams.*.connector/*\"", {.required = true})
          .field("lr", &O::lr, "peak learning rate", {.required = true, .min = 0})
          .field("weight_decay", &O::weight_decay,
                 "decoupled decay of all of them; left out: the optimizer's, of matrices alone", {.min = 0}));
  return *table;
}

const config::Table<ScheduleOptions>& schedule_table() {
  using O = ScheduleOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("schedule")
          .field("name", &O::name,
                 "after the warm-up: constant; a fall to min_ratio: cosine (half of one), linear, polynomial, wsd (at "
                 "the peak until decay_steps before the end); inverse_sqrt, noam: one over the root of the step",
                 {.choices = {"cosine", "constant", "linear", "polynomial", "wsd", "inverse_sqrt", "noam"}})
          .field("warmup_steps", &O::warmup_steps, "steps of linear rise", {.min = 0})
          .field("min_ratio", &O::min_ratio, "least learning rate after the rise, relative to the peak",
                 {.min = 0, .max = 1})
          .field("hold_steps", &O::hold_steps, "steps at the peak between rise and fall",
                 {.min = 0, .max = static_cast<double>(kMaxSteps)})
          .field("constant_steps", &O::constant_steps, "steps at min_ratio at the end of the run",
                 {.min = 0, .max = static_cast<double>(kMaxSteps)})
          .field("decay_steps", &O::decay_steps, "of wsd: steps of its fall",
                 {.min = 0, .max = static_cast<double>(kMaxSteps)})
          .field("decay", &O::decay, "of wsd: how it falls", {.choices = {"linear", "one_minus_sqrt", "cosine"}})
          .field("power", &O::power, "of polynomial: of what is left of the fall", {.min = 0, .above_min = true}));
  return *table;
}

const config::Table<RampOptions>& ramp_table() {
  using O = RampOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("ramp")
          .field("from", &O::from, "batches of the first steps; 0: train.accumulate at once", {.min = 0, .max = 65536})
          .field("by", &O::by, "how many more there are each time", {.min = 1, .max = 65536})
          .field("every", &O::every, "after so many steps, until there are train.accumulate",
                 {.min = 1, .max = static_cast<double>(kMaxSteps)}));
  return *table;
}

const config::Table<VerifyOptions>& verify_table() {
  using O = VerifyOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("verify")
          .field("every", &O::every, "every so-many-th step, before its update; 0: none",
                 {.min = 0, .max = static_cast<double>(kMaxSteps)})
          .field("spike", &O::spike,
                 "steps whose loss is above so many times the average of the last ones, e.g. 3; 0: none",
                 {.min = 0, .max = 1e6}));
  return *table;
}

const config::Table<EmaOptions>& ema_table() {
  using O = EmaOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("ema")
          .field("decay", &O::decay, "what is left of an average at each step, e.g. 0.999; 0: no averages",
                 {.min = 0, .max = 1})
          .field("use", &O::use,
                 "the averages and not the last values are measured on held-out sets and written into adapter and "
                 "connectors, and eval, generate, chat and export take them"));
  return *table;
}

const config::Table<RewardOptions>& reward_table() {
  using O = RewardOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("reward")
          .field("plugin", &O::plugin, "name of the component, see `antiphon inspect`", {.required = true})
          .field("weight", &O::weight, "factor of its numbers in the sum; 0: they are told, and not learnt from")
          .rest(&O::options));
  return *table;
}

const config::Table<RolloutOptions>& rollout_table() {
  using O = RolloutOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("rollout")
          .field("max_tokens", &O::max_tokens, "of an answer", {.min = 1, .max = 1 << 24})
          .field("truncated", &O::truncated,
                 "answers that have not ended by then: keep: they are learnt from as they are; mask: they are scored, "
                 "and their tokens do not count",
                 {.choices = {"keep", "mask"}})
          .field("shown", &O::shown, "answers of each step that are written into rollouts.jsonl, the first ones",
                 {.min = 0, .max = 1000000})
          .tables("rewards", &O::rewards, reward_table(), "what answers are worth: the weighted sum of these"));
  return *table;
}

}  // namespace

const config::Table<TrainOptions>& train_table() {
  using O = TrainOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("train")
          .field("output", &O::output, "run folder: configuration, metrics, checkpoints, adapter")
          .field("steps", &O::steps, "optimizer steps", {.min = 1, .max = static_cast<double>(kMaxSteps)})
          .field("max_minutes", &O::max_minutes,
                 "ends the run after this time, too: the first steps show how many fit, and the schedule follows that "
                 "number; "
                 "0: no limit",
                 {.min = 0})
          .field(
              "stop_after_minutes", &O::stop_after_minutes,
              "ends each start after this time, as a signal does: with a checkpoint, and nothing else is changed; 0: "
              "no limit",
              {.min = 0})
          .field("min_steps", &O::min_steps,
                 "with max_minutes: if the first steps show that fewer fit, the run stops there, with a checkpoint "
                 "and exit code 8; 0: never",
                 {.min = 0, .max = static_cast<double>(kMaxSteps)})
          .field("tokens_per_batch", &O::tokens_per_batch, "budget of one packed batch, media included",
                 {.min = 16, .max = 1 << 24})
          .field("accumulate", &O::accumulate, "batches for one step; the loss is that of all of them together",
                 {.min = 1, .max = 65536})
          .table("ramp", &O::ramp, ramp_table(), "fewer batches a step at first, and more from time to time")
          .field("recompute", &O::recompute,
                 "activation recomputation: none, full, or of each stack of blocks the first N: they keep their inputs "
                 "only and are computed again in the backward pass, for less memory and up to a third more time")
          .field(
              "on_oom", &O::on_oom,
              "of a step for which there is no memory: stop: the run ends (exit code 7); split: its largest batch is "
              "computed in two, again and again; skip: it is left out, as one that split cannot help. Ten such in a "
              "row end the run. For one process",
              {.choices = {"stop", "split", "skip"}})
          .field("rollbacks", &O::rollbacks,
                 "how often, after ten steps in a row whose loss or gradient is not finite, what is trained goes back "
                 "to a checkpoint of before the last good step and the run goes on with the data that follow; 0: such "
                 "steps end it",
                 {.min = 0, .max = 1000})
          .field("offload_activations", &O::offload_activations,
                 "with recompute: what blocks keep, their inputs, waits for the backward pass in the host's memory")
          .field("logits_chunk", &O::logits_chunk, "positions whose logits are alive at once", {.min = 1})
          .table("optimizer", &O::optimizer, optimizer_table(), "how parameters are updated")
          .tables("groups", &O::groups, group_table(), "other settings for some parameters; the first match counts")
          .table("schedule", &O::schedule, schedule_table(), "learning rate over time")
          .field("clip_norm", &O::clip_norm, "largest norm of the whole gradient; 0: no clipping", {.min = 0})
          .field(
              "label_smoothing", &O::label_smoothing,
              "share of each supervised token's target that is spread over the vocabulary; held-out losses have none",
              {.min = 0, .max = 1})
          .field("z_loss", &O::z_loss,
                 "weight of the squared logarithm of the sum of each supervised token's exponentials, e.g. 1e-4; "
                 "held-out losses have none",
                 {.min = 0})
          .field("checkpoint_every", &O::checkpoint_every, "steps between checkpoints", {.min = 1})
          .field("keep_checkpoints", &O::keep_checkpoints, "older ones are removed", {.min = 1})
          .field(
              "eval_every", &O::eval_every,
              "steps between measurements of the held-out losses of [data.eval], which go into the metrics; 0: none. "
              "Their time is not counted in max_minutes",
              {.min = 0})
          .field("eval_answers", &O::eval_answers,
                 "samples of each held-out set, from the first on, for which answers are written at such a measurement "
                 "and compared as eval.metrics says: eval/NAME/wer, …; 0: none",
                 {.min = 0, .max = 1000000})
          .field("eval_answers_every", &O::eval_answers_every,
                 "answers are written at every so-many-th measurement, and at the last", {.min = 1, .max = 1000000})
          .field("eval_controls", &O::eval_controls,
                 "held-out losses with media shuffled between samples, or removed, too: eval/NAME/loss_shuffled",
                 {.choices = {"shuffled", "removed"}})
          .field("keep_minutes", &O::keep_minutes,
                 "one checkpoint each time so many minutes of steps have gone by, which stays in the folder kept; 0: "
                 "none",
                 {.min = 0, .max = 1e6})
          .field("keep_best", &O::keep_best, "checkpoints with the best held-out metric that stay in the folder best",
                 {.min = 0, .max = 1000})
          .field("best_metric", &O::best_metric, "of keep_best and patience, e.g. \"eval/held/loss\"")
          .field("best_mode", &O::best_mode, "whether a small or a large metric is good", {.choices = {"min", "max"}})
          .field("patience", &O::patience,
                 "measurements in a row without a better metric after which the run ends; 0: it does not",
                 {.min = 0, .max = static_cast<double>(kMaxSteps)})
          .field("straggler_ratio", &O::straggler_ratio,
                 "of several processes: a warning names one whose work takes more than so many times the median's time "
                 "for 20 steps in a row; 0: none",
                 {.min = 0, .max = 1000})
          .table("ema", &O::ema, ema_table(), "moving averages of what is trained")
          .table("verify", &O::verify, verify_table(),
                 "steps that are computed twice, to find a processor or a memory that computes wrongly")
          .table("rollout", &O::rollout, rollout_table(), "of an objective that learns from what the model writes")
          .field("loggers", &O::loggers,
                 "beside metrics.jsonl: tensorboard (events.out.tfevents.*), csv (metrics.csv), mlflow (a server)",
                 {.choices = {"csv", "tensorboard", "mlflow"}})
          .table("mlflow", &O::mlflow, mlflow_table(), "of the logger mlflow")
          .field("seed", &O::seed, "of initial values, order and dropout", {.min = 0}));
  return *table;
}

namespace {

const config::Table<LossScaleOptions>& loss_scale_table() {
  using O = LossScaleOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("loss_scale")
          .field("initial", &O::initial, "factor of the loss at the start", {.min = 0, .max = 1e38, .above_min = true})
          .field("growth", &O::growth, "factor of the scale after so many good steps", {.min = 1, .max = 1e6})
          .field("backoff", &O::backoff, "factor of the scale after a step whose gradient overflows",
                 {.min = 1e-6, .max = 0.99})
          .field("interval", &O::interval, "good steps in a row after which the scale grows",
                 {.min = 1, .max = static_cast<double>(kMaxSteps)}));
  return *table;
}

}  // namespace

const config::Table<PrecisionOptions>& precision_table() {
  static const auto* table = new config::Table<PrecisionOptions>(
      config::Table<PrecisionOptions>("precision")
          .field("compute", &PrecisionOptions::compute,
                 "of activations and frozen parameters; trained ones are as `trained` says. auto: what the processor "
                 "or GPU computes "
                 "fastest of those that train well. bf16 on a processor without bf16 products: bf16 matrices, fp32 "
                 "products. fp16: for GPUs without bf16, slow on a CPU; trained with a dynamic loss scale",
                 {.choices = {"auto", "fp32", "bf16", "fp16"}})
          .table("loss_scale", &PrecisionOptions::loss_scale, loss_scale_table(),
                 "with fp16: the loss is scaled so that small gradients do not vanish")
          .field("linear", &PrecisionOptions::linear,
                 "of the products in the language model's linear layers while training; empty: as compute; fp8: e4m3, "
                 "gradients e5m2",
                 {.choices = {"", "fp8"}})
          .field("trained", &PrecisionOptions::trained,
                 "of the matrices and embeddings of a language model that is trained itself, and of their gradients. "
                 "fp32; bf16: half the memory, and updates are rounded by chance so that small ones arrive in the mean",
                 {.choices = {"fp32", "bf16"}})
          .field("weights", &PrecisionOptions::weights,
                 "of the frozen language model's matrices while adapters on it are trained, on the CPU (QLoRA); empty: "
                 "as compute; nf4: the 4 bits of bitsandbytes, with doubly quantised scales",
                 {.choices = {"", "int8", "int4", "nf4"}}));
  return *table;
}

const config::Table<ParallelOptions>& parallel_table() {
  using O = ParallelOptions;
  constexpr double kMostProcesses = 65536, kDay = 24 * 60 * 60;
  static const auto* table = new config::Table<O>(
      config::Table<O>("parallel")
          .field("replicate", &O::replicate,
                 "how many times the processes together hold the model; 0: as often as all that are started make it",
                 {.min = 0, .max = kMostProcesses})
          .field("fsdp", &O::fsdp,
                 "processes among which the parameters, gradients and optimizer states of each copy are cut up",
                 {.min = 1, .max = checkpoint::kMostShares})
          .field("reshard", &O::reshard,
                 "with fsdp or offload_optimizer: each block of the language model is whole only while it computes; "
                 "untrue: all that is trained is whole during a step (ZeRO-2)")
          .field("offload_frozen", &O::offload_frozen,
                 "what is frozen of the language model's blocks is kept in the host's memory, and copied to the device "
                 "while a "
                 "block computes")
          .field("offload_optimizer", &O::offload_optimizer,
                 "what is trained, its gradients and the optimizer's state are kept in the host's memory and updated "
                 "there; values go to the device while a block computes, or with reshard = false for a step")
          .field("shard_frozen", &O::shard_frozen,
                 "with fsdp and reshard: cut up frozen blocks, too. Processes of one machine map the same file, which "
                 "takes less memory than that")
          .field("pipeline", &O::pipeline,
                 "processes that compute each batch one after the other, each with some of the language model's layers",
                 {.min = 1, .max = checkpoint::kMostShares})
          .field("schedule", &O::schedule,
                 "with pipeline: in which order a stage computes forward and backward passes. gpipe: all forward ones "
                 "first; 1f1b: in turn, for less memory; interleaved: in turn, of several chunks a stage, for less "
                 "waiting; zero_bubble: as 1f1b, with the weights' gradients computed while it would wait",
                 {.choices = {"gpipe", "1f1b", "interleaved", "zero_bubble"}})
          .field("chunks", &O::chunks, "with schedule = \"interleaved\": ranges of layers that each stage has",
                 {.min = 1, .max = 1000})
          .field(
              "layers_per_stage", &O::layers_per_stage,
              "with pipeline: layers of each stage, or of each of stages times chunks ranges, which are dealt out in "
              "turn; empty: evenly")
          .field("expert", &O::expert,
                 "processes that have some of the experts of each layer each, and batches of their own",
                 {.min = 1, .max = checkpoint::kMostShares})
          .field(
              "context", &O::context,
              "processes that compute each batch together, each with some of its tokens; in attention with all tokens "
              "and some heads",
              {.min = 1, .max = checkpoint::kMostShares})
          .field("tensor", &O::tensor,
                 "processes that compute each batch together, each with some heads and some of the MLPs and of the "
                 "vocabulary",
                 {.min = 1, .max = checkpoint::kMostShares})
          .field("interface", &O::interface, "network interface through which processes exchange tensors, by name")
          .field("timeout_seconds", &O::timeout_seconds,
                 "how long a process waits for the others before the run ends with an error", {.min = 1, .max = kDay}));
  return *table;
}

}  // namespace antiphon::train
