#include <antiphon/train/trainer.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/log.h>
#include <antiphon/base/mixed.h>
#include <antiphon/base/name_list.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/trace.h>
#include <antiphon/component/auxiliary_losses.h>
#include <antiphon/component/pipeline_pass.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/model/objective_input.h>
#include <antiphon/model/reference_scores.h>
#include <antiphon/train/recompute.h>
#include <antiphon/train/step_seed.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>

namespace antiphon::train {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

constexpr int64_t kMaxNotFinite = 10;

std::optional<nn::Recompute> recompute_of(const TrainOptions& options) {
  config::Problems problems;
  const int64_t blocks = recomputed_blocks(options.recompute, problems);
  problems.throw_if_any();
  return blocks > 0 ? std::optional<nn::Recompute>(blocks) : std::nullopt;
}

// Into `metrics`, which has names of its own.
void add_of_objective(std::map<std::string, double>& metrics, std::map<std::string, double> more) {
  metrics.merge(more);
  if (more.empty()) return;
  fail(ErrorKind::plugin, fmt::format("the objective's metric '{}' has a name that every run has", more.begin()->first),
       "let the plugin name it otherwise; `antiphon conformance` checks that");
}

std::unique_ptr<RunCheckpoints> checkpoints_in(const CheckpointPlace& place, bool first,
                                               const parallel::Placement& placement, const Agreement& agreement) {
  const auto& [share, count] = placement.share();
  if (count == 1) return checkpoints_of_one(place, first);
  std::optional<checkpoint::Share> own;
  if (share) own = {*share, count};
  return checkpoints_of_all(place, *agreement.group(), own, count);
}

void add_auxiliary(const AuxiliaryLosses& losses, StepResult& result) {
  for (const auto& [name, term] : losses.terms()) {
    result.loss += term.coefficient * losses.share() * term.value;
    result.metrics.add("moe/" + name, {term.value * losses.share(), losses.share()});
  }
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
                 const TrainOptions& options)
    : model_(model),
      objective_(objective),
      loader_(loader),
      cache_(cache),
      folder_(folder),
      agreement_(agreement),
      placement_(placement),
      options_(options),
      optimizer_(placement.own(model.trainable_parameters()), options, rule),
      saved_(placement.own(model.saved_parameters())),
      recompute_(recompute_of(options)),
      length_(options),
      passes_(passes_of(parallel::ScheduleKind::one_f_one_b, {1, 1, static_cast<int>(loader.share().count)}, 0)),
      checkpoints_(
          checkpoints_in({folder.checkpoints(), options.keep_checkpoints}, folder.writes(), placement, agreement)) {
  for (const auto& parameter : saved_)
    if (parameter.fixed)
      statistics_.push_back(
          {*parameter.tensor, at::empty_like(*parameter.tensor), at::zeros_like(*parameter.tensor, at::kDouble)});
  log::info("  optimizer: " + optimizer_.describe());
}

nn::TokenScoreOptions Trainer::score_options() const {
  return {options_.logits_chunk, objective_.needs().even_gradient};
}

// Nothing has been trained yet, so the two are one model, and the same operations give the same bits.
void Trainer::check_reference(model::Batch batch, const at::Tensor& reference) {
  c10::AutoGradMode no_grad(false);
  model_.lm().encode(batch);
  const auto own = model_.score(batch, score_options());
  if (at::allclose(own, reference, 0, 0, /*equal_nan=*/true)) return;
  fail(ErrorKind::internal,
       fmt::format("before the first step the reference differs from the model by {:.3g} in a log-probability",
                   (own - reference).abs().max().item<double>()));
}

// What is compared with a reference is computed as the reference is: without dropout.
ObjectiveOutput Trainer::forward(model::Batch& batch, uint64_t seed, const DrawnRecord& drawn, StepResult& result) {
  const nn::BlockPolicyScope policy(placement_.around(recompute_ ? &*recompute_ : nullptr));
  auto input = model::objective_input(batch, drawn.totals);
  if (reference_) input.reference_n = model::reference_scores(model_, batch, *reference_, score_options());
  if (reference_ && step_ == 0) check_reference(batch, input.reference_n);
  std::optional<TrainingPass> training;
  std::optional<AuxiliaryLosses> losses;
  if (!reference_) {
    training.emplace(/*training=*/true, /*again=*/false, seed);
    losses.emplace(static_cast<double>(batch.tokens() - batch.padding) / static_cast<double>(drawn.tokens));
  }
  model_.lm().encode(batch);
  if (model_.lm().is_first_stage()) cache_.store(batch);
  (model_.scores() ? input.scores_sk : input.logp_n) = model_.score(batch, score_options());
  if (losses) add_auxiliary(*losses, result);
  if (!model_.lm().is_last_stage()) return {model_.scores() ? input.scores_sk : input.logp_n, {}};
  return objective_.forward(input);
}

void Trainer::backward(const ObjectiveOutput& output, StepResult& result) {
  {
    const TraceScope scope("backward");
    // A batch without media has nothing to teach a connector alone.
    if (output.loss.requires_grad()) torch::autograd::backward({output.loss}, {});
    placement_.end_pass();
  }
  result.loss += output.loss.item<double>();
  result.metrics.add(output.metrics);
}

DrawnRecord Trainer::drawn(const std::vector<model::Batch>& batches) const {
  DrawnRecord record;
  record.bad = loader_.counts().bad;
  uint64_t content = 0;
  for (const auto& batch : batches) {
    model::add_to(record.totals, batch), record.tokens += batch.tokens() - batch.padding;
    for (const auto& list : {batch.ids_t, batch.positions_t, batch.supervised_n, batch.labels_n})
      for (const auto *at = list.const_data_ptr<int64_t>(), *end = at + list.numel(); at != end; ++at)
        content = mixed(content, static_cast<uint64_t>(*at));
  }
  record.content = static_cast<int64_t>(content);
  for (const auto& [name, stream] : model_.lm().streams()) {
    auto& items = record.items[name];
    for (const auto& batch : batches) items += std::ranges::count(batch.media, name, &model::BatchMedia::stream);
  }
  return record;
}

// A process that cannot draw its batches says so, since the others have theirs; Error(preempted) in all then.
std::vector<model::Batch> Trainer::draw(DrawnRecord& agreed) {
  std::vector<model::Batch> batches;
  std::exception_ptr reason;
  DrawnRecord own;
  beacon::doing("drawing batches");
  try {
    for (int64_t i = 0; i < loader_.share().count; ++i) batches.push_back(loader_.next_batch());
    own = drawn(batches);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::preempted) throw;
    reason = std::current_exception();
    own = drawn({});
    own.stop = stop_requested() ? stop_requested() : kNoData;
  }
  agreed = agreement_.agree(own);
  saving_.reset();
  if (reason && agreed.stop == own.stop) std::rethrow_exception(reason);
  if (agreed.stop)
    fail(ErrorKind::preempted, "another process was asked to stop, or cannot draw its batches, as it says");
  return batches;
}

ObjectiveOutput Trainer::forward_of(model::Batch& batch, const parallel::Pass& pass, StepResult& result) {
  const auto seed = seed_of(static_cast<uint64_t>(options_.seed), step_, loader_.share().first + pass.batch);
  if (pass.batch > 0 && pass.chunk == 0) put_statistics_back();
  seed_generators(model_.lm().device(), seed);
  auto output = forward(batch, seed, result.drawn, result);
  if (pass.chunk == 0) add_statistics();
  return output;
}

void Trainer::run_pass(model::Batch& batch, const parallel::Pass& pass, bool defers, StepResult& result) {
  using enum parallel::Pass::Kind;
  const std::pair key(pass.batch, pass.chunk);
  const PipelinePass of(pass.batch, pass.chunk);
  auto& [output, later] = computed_[key];
  {
    const nn::DeferredGradients::Scope scope(defers ? &later : nullptr);
    if (pass.kind == forward) output = forward_of(batch, pass, result);
    if (pass.kind == backward) this->backward(std::exchange(output, {}), result);
  }
  if (pass.kind == weights) later.compute(), placement_.end_pass();
  if (pass.kind == (defers ? weights : backward)) computed_.erase(key);
}

void Trainer::compute(std::vector<model::Batch>& batches, StepResult& result) {
  using enum parallel::Pass::Kind;
  placement_.make_usable();
  computed_.clear();
  const bool defers = std::ranges::any_of(passes_, [](const parallel::Pass& pass) { return pass.kind == weights; });
  for (const auto& pass : passes_) {
    beacon::doing("computing");
    // A block that is recomputed, or whose weights wait, gives its gradients once for each call, and a part may be
    // called several times.
    if (!recompute_ && !defers && &pass == &passes_.back()) placement_.begin_last_pass();
    run_pass(batches[static_cast<size_t>(pass.batch)], pass, defers, result);
  }
  placement_.add_gradients();
}

StepResult Trainer::step() {
  StepResult result;
  auto batches = draw(result.drawn);
  std::vector<std::string> samples;
  for (const auto& batch : batches)
    for (const auto& sequence : batch.sequences) samples.push_back(sequence.id);
  beacon::step(step_ + 1, name_list(samples));
  try {
    compute(batches, result);
  } catch (const std::bad_alloc&) {
    fail(ErrorKind::memory,
         fmt::format("out of memory at step {} with {} tokens in a batch; samples: {}", step_ + 1,
                     batches.front().tokens(), name_list(samples)),
         "lower train.tokens_per_batch");
  }
  update(result, samples);
  return result;
}

void Trainer::update(StepResult& result, const std::vector<std::string>& samples) {
  const TraceScope scope("optimizer");
  const Optimizer::Joint joint{[&](const Parameter& parameter) { return placement_.counts(parameter); },
                               [&](double own) { return placement_.add_up(own); }};
  result.gradient_norm = optimizer_.clip(options_.clip_norm, agreement_.group() ? &joint : nullptr);
  result.lr_ratio = lr_ratio(options_.schedule, step_, length_.steps());
  const bool finite = std::isfinite(result.gradient_norm) && std::isfinite(result.loss);
  const auto computed = agreement_.agree(ComputedRecord{result.loss, finite, result.metrics});
  result.loss = computed.loss, result.metrics = computed.metrics, result.skipped = !computed.finite;
  count_skipped(result, samples);
  average_statistics();
  if (result.skipped) {
    optimizer_.drop_gradients();
    put_statistics_back();  // what is not finite would stay in them for good
  } else {
    optimizer_.step(result.lr_ratio);
  }
}

void Trainer::count_skipped(const StepResult& result, const std::vector<std::string>& samples) {
  if (!result.skipped) {
    not_finite_ = 0;
    return;
  }
  log::warning(fmt::format("step {}: loss {} and gradient norm {} are not finite; the step is skipped", step_ + 1,
                           result.loss, result.gradient_norm));
  if (++not_finite_ >= kMaxNotFinite)
    fail(ErrorKind::data,
         fmt::format("{} steps in a row had no finite gradient; the last one held the samples {}", not_finite_,
                     name_list(samples)),
         "lower the learning rate, use precision.compute = \"fp32\", or look at these samples");
}

// True if the clock has just fixed the number of steps.
bool Trainer::count_time(double seconds) {
  if (!length_.add(step_, seconds)) return false;
  log::info(fmt::format("{} a step: {} steps of at most {} fit into {}",
                        human_duration(length_.seconds_per_step(step_)), length_.steps(), options_.steps,
                        human_duration(length_.limit_seconds())));
  return true;
}

// Nothing if none is due, or if the run stops. A stop that is asked for meanwhile is left to the next step.
std::map<std::string, double> Trainer::evaluate(bool stops) {
  const bool due = options_.eval_every > 0 && (step_ % options_.eval_every == 0 || length_.done(step_));
  if (!evaluation_ || !due || stops) return {};
  const TraceScope scope("evaluation");
  const beacon::Slow slow("measuring held-out losses");
  const auto begin = Clock::now();
  placement_.make_usable();
  const nn::BlockPolicyScope policy(placement_.around(nullptr));
  try {
    auto values = evaluation_(reference_ ? &*reference_ : nullptr);
    std::string line;
    for (const auto& [name, value] : values) line += fmt::format("  {} {:.4f}", name, value);
    finish_progress();
    log::info(fmt::format("step {}:{}", step_, line));
    values["eval/seconds"] = since(begin);
    return values;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::preempted) throw;
    return {};
  } catch (const std::bad_alloc&) {
    fail(ErrorKind::memory, fmt::format("out of memory while held-out losses were measured after step {}", step_),
         "lower eval.batch_size");
  }
}

void Trainer::after_step(const StepResult& result, double seconds, std::map<std::string, double> more) {
  trained_tokens_ += result.drawn.tokens;
  if (!result.skipped) loss_average_ = step_ == 1 ? result.loss : 0.95 * loss_average_ + 0.05 * result.loss;
  const double rate = static_cast<double>(result.drawn.tokens) / seconds, waited = loader_.waited_seconds();
  const double lr = options_.optimizer.lr * result.lr_ratio;
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
                                        {"train/checkpoint_failures", static_cast<double>(failed_saves_)}};
  for (const auto& [name, items] : result.drawn.items) metrics["media/" + name] = static_cast<double>(items);
  metrics.merge(more);
  add_of_objective(metrics, result.metrics.means());
  folder_.metrics(step_, metrics);
  shown_waited_ = waited;
  if (!folder_.writes()) return;
  show_progress(fmt::format("step {}/{}  loss {:.4f} (avg {:.4f})  {:.0f} tokens/s  lr {:.2e}  {}  ETA {}", step_,
                            length_.steps(), result.loss, loss_average_, rate, lr, human_bytes(resident_bytes()),
                            human_duration(length_.seconds_left(step_))),
                step_ == 1);
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
    running.copy_(sum.div_(static_cast<double>(loader_.share().all)));
  }
}

// A stop that is asked for while data are gathered, or a disk that fails, ends the run as a signal does: with a
// checkpoint of the last whole step.
StepResult Trainer::step_or_save() {
  keep_statistics();
  try {
    return step();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::preempted || step_ == 0) throw;
    put_statistics_back();
    if (const int signal = stop_requested()) stop(signal);
    save_last();
    finish_progress();
    throw;
  }
}

void Trainer::stop(int signal) {
  finish_progress();
  if (step_ == 0) stop_if_requested();
  save_last();
  fail(ErrorKind::preempted, fmt::format("stopped by signal {} after step {}; a checkpoint is written", signal, step_),
       "start the same command with --resume to go on");
}

// Measures, and writes the step's record. What the measuring throws is given back: it must not cost the record or a
// checkpoint that is due.
std::exception_ptr Trainer::finish_step(const StepResult& result, const EndedRecord& ended) {
  std::map<std::string, double> more;
  std::exception_ptr failure;
  if (profiler_) more = profiler_->metrics(ended.seconds);
  try {
    more.merge(evaluate(ended.stop != 0));
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

RunEnd Trainer::run() {
  if (objective_.needs().reference)
    log::info("  the objective compares with a reference: no dropout, and running statistics stay as they are");
  if (objective_.needs().reference && !reference_)
    reference_.emplace(saved_, folder_.writes() ? reference_file() : std::filesystem::path());
  rows_ = agreement_.agree(EndedRecord{0, 0, loader_.state()}).rows;
  if (checkpoints_->writes() && step_ + options_.checkpoint_every < options_.steps) checkpoints_->prepare(content());
  while (!length_.done(step_) && !length_.too_few()) {
    if (profiler_) profiler_->begin_step();
    const auto begin = Clock::now();
    const auto result = step_or_save();
    const double seconds = since(begin);
    tell_of_checkpoint(/*wait=*/step_ + 1 == length_.steps());  // so that the last record counts every failure
    ++step_;
    const auto ended = agreement_.agree(EndedRecord{stop_requested(), seconds, loader_.state()});
    rows_ = ended.rows;
    const bool fixed = count_time(ended.seconds);
    const auto failure = finish_step(result, ended);
    if (ended.stop) stop(ended.stop);
    if (fixed || failure || step_ % options_.checkpoint_every == 0) save_if_possible();
    if (failure) std::rethrow_exception(failure);
    if (profiler_) profiler_->end_step();
  }
  if (profiler_) profiler_->finish();
  finish_progress();
  save_last();
  return tell_of_end();
}

}  // namespace antiphon::train
