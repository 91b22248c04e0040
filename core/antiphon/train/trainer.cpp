#include <antiphon/train/trainer.h>

#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <fmt/format.h>
#include <unistd.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/log.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/trace.h>
#include <antiphon/comm/group.h>
#include <antiphon/comm/out_of_memory.h>
#include <antiphon/profile/tensor_memory.h>
#include <antiphon/train/recompute.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>

namespace antiphon::train {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::optional<nn::Recompute> recompute_of(const TrainOptions& options) {
  config::Problems problems;
  const int64_t blocks = recomputed_blocks(options.recompute, problems);
  problems.throw_if_any();
  return blocks > 0 ? std::optional<nn::Recompute>(std::in_place, blocks, options.offload_activations) : std::nullopt;
}

// Into `metrics`, which has names of its own.
void add_of_objective(std::map<std::string, double>& metrics, std::map<std::string, double> more) {
  metrics.merge(more);
  if (more.empty()) return;
  fail(ErrorKind::plugin, fmt::format("the objective's metric '{}' has a name that every run has", more.begin()->first),
       "let the plugin name it otherwise; `antiphon conformance` checks that");
}

// The most that was held for tensors on a GPU so far.
double device_bytes(at::Device device) {
  const auto stats =
      c10::getDeviceAllocator(device.type())->getDeviceStats(std::max<c10::DeviceIndex>(device.index(), 0));
  return static_cast<double>(stats.reserved_bytes[0].peak);  // of both kinds of pools
}

// Bytes, since the processes met.
double sent_by(const comm::Group& group) {
  int64_t bytes = 0;
  for (const auto& [name, sent] : group.sent()) bytes += sent.bytes;
  return static_cast<double>(bytes);
}

std::unique_ptr<RunCheckpoints> checkpoints_in(const CheckpointPlace& place, bool first,
                                               const parallel::Placement& placement, const Agreement& agreement) {
  const auto& [share, count] = placement.share();
  if (count == 1) return checkpoints_of_one(place, first);
  std::optional<checkpoint::Share> own;
  if (share) own = {*share, count};
  return checkpoints_of_all(place, *agreement.group(), own, count);
}

}  // namespace

double resident_bytes() {
  std::ifstream in("/proc/self/statm");
  double size = 0, resident = 0;
  in >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

Trainer::Trainer(model::Model& model, Objective& objective, UpdateRule& rule, data::Loader& loader,
                 data::FeatureCache& cache, RunFolder& folder, Agreement& agreement, parallel::Placement& placement,
                 parallel::Owners* owners, const TrainOptions& options)
    : model_(model),
      objective_(objective),
      loader_(loader),
      cache_(cache),
      folder_(folder),
      agreement_(agreement),
      placement_(placement),
      owners_(owners),
      options_(options),
      optimizer_(owners ? owners->parameters() : placement.own(model.trainable_parameters()),
                 placement.own(model.trainable_parameters()), options, rule),
      best_(options),
      saved_(placement.own(model.saved_parameters())),
      recompute_(recompute_of(options)),
      length_(options),
      stragglers_(options.straggler_ratio),
      passes_([](int64_t batches) {
        return passes_of(parallel::ScheduleKind::one_f_one_b, {1, 1, static_cast<int>(batches)}, 0);
      }),
      ramp_(options.ramp, loader.share().all),
      checkpoints_(
          checkpoints_in({folder.checkpoints(), options.keep_checkpoints}, folder.writes(), placement, agreement)) {
  for (const auto& parameter : saved_)
    if (parameter.fixed && !parameter.constant)
      statistics_.push_back(
          {*parameter.tensor, at::empty_like(*parameter.tensor), at::zeros_like(*parameter.tensor, at::kDouble)});
  if (options_.ema.decay > 0) average_.emplace(placement.own(model.trainable_parameters()), options_.ema.decay);
  log::info("  optimizer: " + optimizer_.describe());
  if (ramp_.any()) log::info("  a step: " + ramp_.describe());
}

// True if the clock has just fixed the number of steps.
bool Trainer::count_time(double seconds) {
  if (!length_.add(step_, seconds)) return false;
  log::info(fmt::format("{} a step: {} steps of at most {} fit into {}",
                        human_duration(length_.seconds_per_step(step_)), length_.steps(), options_.steps,
                        human_duration(length_.limit_seconds())));
  return true;
}

// Nothing if none is due, or if the run stops, or is asked to meanwhile: it is made when the run goes on.
std::map<std::string, double> Trainer::evaluate(bool stops) {
  const bool last = length_.done(step_) || data_ended_;
  const bool due = options_.eval_every > 0 && (step_ % options_.eval_every == 0 || last);
  unmeasured_ = evaluation_ && due && stops;
  if (!evaluation_ || !due || stops) return {};
  const TraceScope scope("evaluation");
  const beacon::Slow slow("measuring held-out losses");
  const auto begin = Clock::now();
  const Average::Scope averages(average_ && options_.ema.use ? &*average_ : nullptr,
                                [this] { placement_.values_exchanged(); });
  placement_.make_usable();
  const nn::BlockPolicyScope policy(placement_.around(nullptr));
  try {
    auto values = evaluation_(reference_ ? &*reference_ : nullptr, {step_, last});
    std::string line;
    for (const auto& [name, value] : values) line += fmt::format("  {} {:.4f}", name, value);
    finish_progress();
    log::info(fmt::format("step {}:{}", step_, line));
    values["eval/seconds"] = since(begin);
    return values;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::memory && agreement_.group())
      end_without_memory(fmt::format("while held-out losses are measured after step {}", step_),
                         "lower eval.batch_size");
    if (error.kind() != ErrorKind::preempted) throw;
    unmeasured_ = true;
    return {};
  } catch (const std::exception& error) {
    if (!comm::is_out_of_memory(error)) throw;
    fail(ErrorKind::memory, fmt::format("out of memory while held-out losses were measured after step {}", step_),
         "lower eval.batch_size");
  }
}

void Trainer::after_step(const StepResult& result, double seconds, std::map<std::string, double> more) {
  trained_tokens_ += result.drawn.tokens;
  if (!result.skipped) loss_average_ = loss_average_ == 0 ? result.loss : 0.95 * loss_average_ + 0.05 * result.loss;
  const double rate = static_cast<double>(result.drawn.tokens) / seconds, waited = loader_.waited_seconds();
  const double lr = options_.optimizer.lr * result.lr_ratio;
  const auto filtered = data::total(rows_.counts().filtered);
  const double room = static_cast<double>(loader_.tokens_per_batch()) * static_cast<double>(batches_);
  std::map<std::string, double> metrics{{"train/loss", result.loss},
                                        {"train/lr", lr},
                                        {"train/gradient_norm", result.gradient_norm},
                                        {"train/tokens_per_second", rate},
                                        {"train/supervised_tokens", static_cast<double>(result.drawn.totals.tokens)},
                                        {"train/samples", static_cast<double>(result.drawn.totals.sequences)},
                                        {"train/step_seconds", seconds},
                                        {"train/data_wait_seconds", waited - shown_waited_},
                                        {"train/memory_bytes", resident_bytes()},
                                        {"train/bad_samples", static_cast<double>(result.drawn.bad)},
                                        {"train/filtered_samples", static_cast<double>(filtered)},
                                        {"train/batch_fill", static_cast<double>(result.drawn.tokens) / room},
                                        {"train/checkpoint_failures", static_cast<double>(failed_saves_)}};
  for (const auto& [name, items] : result.drawn.items) metrics["media/" + name] = static_cast<double>(items);
  metrics["train/not_finite_steps"] = static_cast<double>(skipped_);
  if (options_.rollbacks > 0) metrics["train/rollbacks"] = static_cast<double>(rollbacks_);
  if (options_.on_oom != "stop") {
    metrics["train/oom_splits"] = static_cast<double>(splits_);
    metrics["train/oom_skips"] = static_cast<double>(skipped_without_memory_);
  }
  if (options_.verify.every > 0 || options_.verify.spike > 0)
    metrics["train/verified_steps"] = static_cast<double>(verified_);
  metrics["train/loader_wait"] = metrics["train/data_wait_seconds"] / std::max(seconds, 1e-9);
  if (const auto device = model_.lm().device(); !device.is_cpu())
    metrics["train/device_memory_bytes"] = device_bytes(device);
  if (ramp_.any()) metrics["train/batches"] = static_cast<double>(batches_);
  if (loss_scale_) {
    metrics["train/loss_scale"] = result.loss_scale;
    metrics["train/overflows"] = static_cast<double>(loss_scale_->overflows());
  }
  if (auto* group = agreement_.group()) {
    const double sent = sent_by(*group);
    metrics["train/sent_bytes"] = sent - std::exchange(shown_sent_, sent);
  }
  metrics.merge(more);
  add_of_objective(metrics, result.metrics.means());
  folder_.metrics(step_, metrics);
  shown_waited_ = waited;
  if (!folder_.writes()) return;
  const auto told = metrics.find("train/reward");
  const auto reward = told == metrics.end() ? "" : fmt::format("  reward {:.3f}", told->second);
  show_progress(fmt::format("step {}/{}  loss {:.4f} (avg {:.4f}){}  {:.0f} tokens/s  lr {:.2e}  {}  ETA {}", step_,
                            length_.steps(), result.loss, loss_average_, reward, rate, lr,
                            human_bytes(resident_bytes()), human_duration(length_.seconds_left(step_))),
                step_ == 1);
}

// Of what its device, or the host, has.
int64_t Trainer::held_bytes() const {
  const auto device = model_.lm().device();
  return static_cast<int64_t>(device.is_cpu() ? resident_bytes() : device_bytes(device));
}

void Trainer::keep_statistics() {
  for (auto& [running, before, sum] : statistics_) before.copy_(running), sum.zero_();
}

void Trainer::put_statistics_back() {
  for (auto& [running, before, sum] : statistics_) running.copy_(before);
}

// Each batch of a step updates the running statistics as they were before the step, and the mean of what comes out is
// kept: the same whoever computes which batch. Of one batch it is what PyTorch does.
void Trainer::add_statistics() {
  for (auto& [running, before, sum] : statistics_) sum.add_(running);
}

void Trainer::average_statistics() {
  for (auto& [running, before, sum] : statistics_) {
    if (!placement_.leads()) sum.zero_();  // the first of its cell has it
    if (auto* group = agreement_.group()) group->sum(sum);
    const auto batches = agreement_.group() ? batches_ : std::ssize(step_rows_);  // of which one may have become two
    running.copy_(sum.div_(static_cast<double>(batches)));
  }
}

// A stop that is asked for while data are gathered, or a disk that fails, ends the run as a signal does: with a
// checkpoint of the last whole step.
StepResult Trainer::step_or_save() {
  keep_statistics();
  try {
    return step();
  } catch (const Error& error) {
    if ((error.kind() != ErrorKind::preempted && agreed_stop_ == 0) || step_ == 0) throw;
    put_statistics_back();
    const int64_t signal = stop_requested() ? stop_requested() : agreed_stop_;
    if (signal != 0 && signal != kNoData) stop(static_cast<int>(signal));
    save_last();
    finish_progress();
    throw;
  }
}

// By a signal, or by the clock of this start.
int Trainer::asked_to_stop() const {
  if (const int signal = stop_requested()) return signal;
  const double limit = 60 * options_.stop_after_minutes;
  return limit > 0 && since(begun_) >= limit && !length_.done(step_) ? kTimeIsUp : 0;
}

void Trainer::stop(int signal) {
  finish_progress();
  if (step_ == 0) stop_if_requested();
  save_last();
  const auto by = signal == kTimeIsUp ? std::string("train.stop_after_minutes")
                  : signal            ? fmt::format("signal {}", signal)
                                      : std::string("a signal to another process");
  fail(ErrorKind::preempted, fmt::format("stopped by {} after step {}; a checkpoint is written", by, step_),
       "start the same command with --resume to go on");
}

// Measures, and writes the step's record. What the measuring throws is given back: it must not cost the record or a
// checkpoint that is due.
std::exception_ptr Trainer::finish_step(const StepResult& result, const EndedRecord& ended, double flops) {
  std::map<std::string, double> more;
  std::exception_ptr failure;
  best_is_due_ = false;
  if (profiler_) more = profiler_->metrics(ended.seconds);
  if (flops > 0) more.try_emplace("train/gflops_per_second", flops / ended.seconds / 1e9);  // the profile's, if it is
  if (ended.work.size() > 1) {
    const auto [least, most] = std::ranges::minmax(ended.work, {}, &StepWork::seconds);
    more["train/fastest_seconds"] = least.seconds, more["train/slowest_seconds"] = most.seconds;
    if (const auto memory = std::ranges::max(ended.work, {}, &StepWork::memory).memory; memory > 0)
      more["profile/most_step_memory_bytes"] = static_cast<double>(memory);
    const auto fullest = std::ranges::max_element(ended.work, {}, &StepWork::held);
    more["train/most_memory_bytes"] = static_cast<double>(fullest->held);
    more["train/most_memory_process"] = static_cast<double>(fullest - ended.work.begin());
  }
  try {
    auto measured = evaluate(ended.stop != 0);
    best_is_due_ = is_best(measured);
    more.merge(measured);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::distributed) throw;  // the others are lost, and no checkpoint can be agreed on
    failure = std::current_exception();
  } catch (...) {
    failure = std::current_exception();
  }
  if (profiler_) profiler_->metrics(1);  // what was computed to measure is not the next step's
  after_step(result, ended.seconds, std::move(more));
  return failure;
}

// The data have ended, which the step after the last one has found out.
void Trainer::measure_at_end() {
  best_is_due_ = false;
  if (step_ == 0 || options_.eval_every == 0 || step_ % options_.eval_every == 0) return;
  measure_by_itself();
}

// With a record of its own.
void Trainer::measure_by_itself() {
  const auto measured = evaluate(/*stops=*/false);
  if (measured.empty()) return;
  best_is_due_ = is_best(measured);
  folder_.metrics(step_, measured);
}

// Before a run goes on that was stopped while it measured.
void Trainer::measure_what_was_left() {
  best_is_due_ = false;
  measure_by_itself();
  if (unmeasured_) stop(stop_requested());
  if (best_is_due_) keep_best();
}

// All processes go by what the first has measured: they have added up the same, but for the last bits, perhaps.
bool Trainer::is_best(const std::map<std::string, double>& measured) {
  if (!best_.wanted() || measured.empty() || best_.waits_for_answers(measured)) return false;
  const auto value = at::tensor({best_.value_in(measured)}, at::kDouble);
  if (auto* group = agreement_.group()) group->broadcast(value, 0);
  return best_.add(step_, value.item<double>());
}

RunEnd Trainer::run() {
  if (objective_.needs().reference)
    log::info("  the objective compares with a reference: no dropout, and running statistics stay as they are");
  else if (roll_out_)
    log::info("  the objective learns from what the model writes: no dropout, and running statistics stay as they are");
  rows_ = agreement_.agree(EndedRecord{0, 0, loader_.state()}).rows;
  if (objective_.needs().reference && !reference_) begin_reference();
  if (auto* group = agreement_.group()) shown_sent_ = sent_by(*group);
  if (checkpoints_->writes() && step_ + options_.checkpoint_every < options_.steps) checkpoints_->prepare(content());
  if (best_.wanted() && folder_.writes()) keep_checkpoints_of(best_.state().kept, folder_.path());
  if (unmeasured_) measure_what_was_left();
  while (!length_.done(step_) && !length_.too_few() && !best_.has_stopped()) {
    if (profiler_) profiler_->begin_step();
    profile::forget_most();
    flops_.begin_step();
    const auto begin = Clock::now();
    const double waited = beacon::waited_seconds();
    const int64_t held = profile::tensor_memory().now;
    const auto result = step_or_save();
    const double flops = flops_.end_step(result.drawn.tokens);
    if (data_ended_) {
      if (profiler_) profiler_->end_step();
      break;
    }
    const double seconds = since(begin), worked = seconds - (beacon::waited_seconds() - waited);
    tell_of_checkpoint(/*wait=*/step_ + 1 == length_.steps());  // so that the last record counts every failure
    ++step_;
    const int64_t memory = profile::tensor_memory().most - held;
    const int64_t bytes = agreement_.group() ? held_bytes() : 0;  // nobody asks a process that is alone
    const auto ended =
        agreement_.agree(EndedRecord{asked_to_stop(), seconds, loader_.state(), {{worked, 0, memory, bytes}}});
    rows_ = ended.rows;
    look_for_stragglers(ended.work);
    const bool fixed = count_time(ended.seconds);
    const auto failure = finish_step(result, ended, flops);
    if (ended.stop || unmeasured_) stop(ended.stop ? ended.stop : stop_requested());
    if (fixed || failure || best_is_due_ || keep_is_due() || step_ % options_.checkpoint_every == 0) save_if_possible();
    if (best_is_due_) keep_best();
    if (keep_is_due()) keep_this();
    if (failure) {
      tell_of_checkpoint(/*wait=*/true);  // all have failed, and each has a share of it
      std::rethrow_exception(failure);
    }
    if (profiler_) profiler_->end_step();
  }
  if (profiler_) profiler_->finish();
  finish_progress();
  if (data_ended_) measure_at_end();
  save_last();
  if (data_ended_ && best_is_due_) keep_best();
  return tell_of_end();
}

}  // namespace antiphon::train
