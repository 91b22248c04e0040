// One step: draw, compute, update.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/log.h>
#include <antiphon/base/mixed.h>
#include <antiphon/base/name_list.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/trace.h>
#include <antiphon/comm/group.h>
#include <antiphon/comm/leave.h>
#include <antiphon/comm/out_of_memory.h>
#include <antiphon/component/auxiliary_losses.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/model/objective_input.h>
#include <antiphon/model/reference_scores.h>
#include <antiphon/nn/smoothing.h>
#include <antiphon/train/out_of_memory.h>
#include <antiphon/train/run_passes.h>
#include <antiphon/train/schedule.h>
#include <antiphon/train/step_seed.h>
#include <antiphon/train/trainer.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace antiphon::train {
namespace {

// `share`: of the step's tokens, without the loss scale that the layers' gradients have.
void add_auxiliary(const AuxiliaryLosses& losses, double share, StepResult& result) {
  for (const auto& [name, term] : losses.terms()) {
    result.loss += term.coefficient * share * term.value;
    result.metrics.add("moe/" + name, {term.value * share, share});
  }
}

}  // namespace

nn::TokenScoreOptions Trainer::score_options() const {
  return {options_.logits_chunk, objective_.needs().even_gradient};
}

// Before the first step nothing has been trained yet, so the two are one model, and the same operations give the same
// bits.
void Trainer::check_is_reference(const std::vector<model::Batch>& batches, const std::vector<at::Tensor>& scores) {
  const profile::StepFlops::Pause pause(flops_);
  const TraceScope scope("reference check");
  c10::AutoGradMode no_grad(false);
  for (size_t i = 0; i < batches.size(); ++i) {
    auto batch = batches[i];
    model_.lm().encode(batch);
    const auto own = model_.score_all_chunks(batch, score_options());
    if (own.defined() && !at::allclose(own, scores[i], 0, 0, /*equal_nan=*/true))
      fail(ErrorKind::internal,
           fmt::format("before the first step the reference differs from the model by {:.3g} in a log-probability",
                       (own - scores[i]).abs().max().item<double>()));
  }
}

// Log-probabilities of each batch under the reference; nothing if there is none.
std::vector<at::Tensor> Trainer::compare_with_reference(std::vector<model::Batch>& batches) {
  if (!reference_) return std::vector<at::Tensor>(batches.size());
  const TraceScope scope("reference");
  beacon::doing("computing the reference");
  placement_.make_usable();
  const nn::BlockPolicyScope policy(placement_.around(nullptr));
  auto scores = model::reference_scores(model_, batches, *reference_, score_options());
  if (step_ == 0) check_is_reference(batches, scores);
  return scores;
}

// What is compared with a reference, or with the policy that wrote it, is computed as that is: without dropout.
ObjectiveOutput Trainer::forward(model::Batch& batch, const Compared& compared, uint64_t seed, StepResult& result) {
  const auto& drawn = result.drawn;
  const nn::BlockPolicyScope policy(placement_.around(recompute_ ? &*recompute_ : nullptr));
  auto input = model::objective_input(batch, drawn.totals);
  input.reference_n = compared.reference_n;
  if (input.behaviour_n.defined()) input.behaviour_n = input.behaviour_n.to(model_.lm().device());
  std::optional<TrainingPass> training;
  std::optional<AuxiliaryLosses> losses;
  const double share = static_cast<double>(batch.tokens() - batch.padding) / static_cast<double>(drawn.tokens);
  if (!reference_ && !roll_out_) {
    training.emplace(/*training=*/true, /*again=*/false, seed);
    losses.emplace(share * result.loss_scale);
  }
  model_.lm().encode(batch);
  if (model_.lm().is_first_stage()) cache_.store(batch);
  const nn::Smoothing smoothing{options_.label_smoothing, options_.z_loss};
  const nn::Smoothing::Scope smoothed(smoothing);
  (model_.scores() ? input.scores_sk : input.logp_n) = model_.score(batch, score_options());
  if (losses) add_auxiliary(*losses, share, result);
  if (!model_.lm().is_last_stage()) return {model_.scores() ? input.scores_sk : input.logp_n, {}};
  if (!objective_.needs().pairs) return objective_.forward(input);
  if (!compared.pairs.gradient_sk.defined())
    return loss_of_pairs(objective_, input.scores_sk, drawn.totals, agreement_.group(), placement_.leads());
  check_same_pairs(input.scores_sk, compared.pairs);
  return {with_gradient(input.scores_sk, compared.pairs.gradient_sk)};
}

void Trainer::backward(const ObjectiveOutput& output, StepResult& result) {
  {
    const TraceScope scope("backward");
    // A batch without media has nothing to teach a connector alone.
    const bool scales = loss_scale_ && model_.lm().is_last_stage();  // the gradients that others send are scaled
    if (output.loss.requires_grad())
      torch::autograd::backward({scales ? output.loss * result.loss_scale : output.loss}, {});
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
    const auto positions_at = batch.positions_at.to(at::kDouble).contiguous().view(at::kLong);
    for (const auto& list : {batch.ids_t, positions_at, batch.supervised_n, batch.labels_n})
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

// Which rows the step has a batch of.
void Trainer::take_rows(int64_t batches) {
  const auto& [all, first, count] = loader_.share();
  batches_ = batches, step_rows_.clear();
  for (const auto row : rows_of_step(batches, all, step_))
    if (row >= first && row < first + count) step_rows_.push_back(row - first);
}

model::Batch Trainer::draw_row(int64_t row, StepMetrics& metrics) {
  if (!roll_out_) return loader_.next_batch(row);
  auto prompts = loader_.next_groups(row);
  if (prompts.empty()) return data::pack(std::move(prompts), data::kPackMultiple);  // its sources have ended
  const TraceScope scope("rollout");
  const beacon::Slow slow("writing answers");
  placement_.make_usable();
  const nn::BlockPolicyScope policy(placement_.around(nullptr));
  const auto seed = seed_of(static_cast<uint64_t>(options_.seed), step_, loader_.share().first + row);
  return roll_out_(std::move(prompts), step_ + 1, seed, metrics);
}

// A process that cannot draw its batches says so, since the others have theirs: its own error there, and
// Error(preempted) in the others.
std::vector<model::Batch> Trainer::draw(StepResult& result) {
  auto& agreed = result.drawn;
  std::vector<model::Batch> batches;
  std::exception_ptr reason;
  DrawnRecord own;
  beacon::step(step_ + 1, "");
  beacon::doing("drawing batches");
  try {
    for (const auto row : step_rows_) batches.push_back(draw_row(row, result.metrics));
    own = drawn(batches);
  } catch (const Error& error) {
    reason = std::current_exception();
    own = drawn({});
    own.stop = error.kind() == ErrorKind::preempted && stop_requested() ? stop_requested() : kNoData;
  }
  agreed = agreement_.agree(own);
  saving_.reset();
  agreed_stop_ = agreed.stop;
  if (reason && agreed.stop == own.stop) std::rethrow_exception(reason);
  if (agreed.stop == kNoData) fail(ErrorKind::preempted, "another process cannot draw its batches, as it says");
  if (agreed.stop)
    fail(ErrorKind::preempted, fmt::format("another process was asked to stop, by signal {}", agreed.stop));
  return batches;
}

uint64_t Trainer::seed_of_batch(int64_t batch) const {
  return seed_of(static_cast<uint64_t>(options_.seed), step_,
                 loader_.share().first + step_rows_[static_cast<size_t>(batch)]);
}

ObjectiveOutput Trainer::forward_of(model::Batch& batch, const Compared& compared, const parallel::Pass& pass,
                                    StepResult& result) {
  const auto seed = seed_of_batch(pass.batch);
  if (pass.batch > 0 && pass.chunk == 0) put_statistics_back();
  seed_generators(model_.lm().device(), seed);
  auto output = forward(batch, compared, seed, result);
  if (pass.chunk == 0) add_statistics();
  return output;
}

std::vector<Trainer::Compared> Trainer::compare(std::vector<model::Batch>& batches, StepResult& result) {
  std::vector<Compared> compared(batches.size());
  const auto references = compare_with_reference(batches);
  for (size_t i = 0; i < batches.size(); ++i) compared[i].reference_n = references[i];
  compare_all_pairs(batches, compared, result);
  return compared;
}

void Trainer::compute_once(std::vector<model::Batch>& batches, StepResult& result) {
  const auto compared = compare(batches, result);
  const auto forward = [&](const parallel::Pass& pass) {
    const auto i = static_cast<size_t>(pass.batch);
    return forward_of(batches[i], compared[i], pass, result);
  };
  run_passes(passes_(std::ssize(batches)), placement_, recompute_.has_value(),
             {forward, [&](const ObjectiveOutput& output) { backward(output, result); }});
}

void Trainer::compute(std::vector<model::Batch>& batches, StepResult& result) {
  const bool verifies = options_.verify.every > 0 || options_.verify.spike > 0;
  const bool again = verifies || options_.on_oom != "stop";
  auto before = again ? batches : std::vector<model::Batch>();  // as they are before media are encoded
  const auto begun = result;
  while (!compute_if_it_fits(batches, result)) {
    result = begun, batches = before;
    if (options_.on_oom != "split" || !split_largest(batches)) return skip_without_memory(batches, result);
    before = batches;
  }
  without_memory_ = 0;
  if (verifies && is_verified(result)) verify(before, begun, result.loss);
}

void Trainer::compute_step(std::vector<model::Batch>& batches, StepResult& result) {
  take_rows(ramp_.batches(step_));
  batches = draw(result);
  if (result.drawn.totals.groups == 0 && batches_ < loader_.share().all) {  // these rows have ended; others may not
    take_rows(loader_.share().all);
    batches = draw(result);
  }
  data_ended_ = result.drawn.totals.groups == 0;  // sequences that do not count are none of the totals
  if (data_ended_) return;
  std::vector<std::string> samples;
  for (const auto& batch : batches)
    for (const auto& sequence : batch.sequences) samples.push_back(sequence.id);
  beacon::step(step_ + 1, name_list(samples));
  if (loss_scale_) result.loss_scale = loss_scale_->value();
  compute(batches, result);
  if (!result.skipped) update(result, samples);
}

StepResult Trainer::step() {
  StepResult result;
  std::vector<model::Batch> batches;
  try {
    compute_step(batches, result);
  } catch (const std::exception& error) {
    if (!comm::is_out_of_memory(error)) throw;
    const auto what = batches.empty() ? "its batches are drawn" : described_by_length(batches);
    end_without_memory(
        fmt::format("at step {}: {}", step_ + 1, what),
        "lower train.tokens_per_batch (`antiphon fit` finds the largest that fits), set train.recompute = \"full\", or "
        "leave out long samples with data.filter.max_tokens");
  }
  return result;
}

// Of several processes the others are in the middle of something that waits for this one.
void Trainer::end_without_memory(const std::string& when, const std::string& fix) {
  auto* group = agreement_.group();
  if (!group) fail(ErrorKind::memory, "out of memory " + when, fix);
  comm::leave({ErrorKind::memory,
               fmt::format("process {} of {} is out of memory {}", group->rank(), group->size(), when),
               fix + "; or divide the model among more processes ([parallel]; `antiphon plan` says what each holds)"});
}

void Trainer::update(StepResult& result, const std::vector<std::string>& samples) {
  const TraceScope scope("optimizer");
  if (owners_) owners_->gather_gradients();
  if (loss_scale_) optimizer_.scale_gradients(loss_scale_->inverse());
  const Optimizer::Joint joint{[&](const Parameter& parameter) { return placement_.counts(parameter); },
                               [&](double own) { return placement_.add_up(own); }};
  result.gradient_norm = optimizer_.clip(options_.clip_norm, agreement_.group() ? &joint : nullptr);
  result.lr_ratio = lr_ratio(options_.schedule, step_, length_.steps());
  const bool finite = std::isfinite(result.gradient_norm) && std::isfinite(result.loss);
  const auto computed = agreement_.agree(ComputedRecord{result.loss, finite, result.metrics});
  result.loss = computed.loss, result.metrics = computed.metrics, result.skipped = !computed.finite;
  result.not_finite = computed.not_finite;
  if (loss_scale_) loss_scale_->update(result.skipped);
  const auto lost = count_skipped(result, samples);
  average_statistics();
  if (result.skipped) {
    optimizer_.drop_gradients();
    put_statistics_back();  // what is not finite would stay in them for good
    if (!lost.empty()) go_back(lost);
  } else {
    optimizer_.step(result.lr_ratio, mixed(static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(step_)));
    if (owners_) owners_->return_values();
    if (average_) average_->update();
  }
}

}  // namespace antiphon::train
