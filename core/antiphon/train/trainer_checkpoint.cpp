// The checkpoints of a run: saving and resuming.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/log.h>
#include <antiphon/base/name_list.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/trace.h>
#include <antiphon/checkpoint/restore.h>
#include <antiphon/parallel/agreed.h>
#include <antiphon/train/progress.h>
#include <antiphon/train/trainer.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace antiphon::train {
namespace {

// The digests of all shares in their order, of which a process has one or none.
std::string joined_digests(const std::string& own, const parallel::Shares& shares, comm::Group& group) {
  constexpr size_t kMost = 64;  // letters of a digest
  std::vector<int64_t> mine{shares.own.value_or(-1)};
  mine.insert(mine.end(), own.begin(), own.end());
  mine.resize(kMost + 1);
  std::vector<std::string> digests(static_cast<size_t>(shares.count));
  for (const auto& numbers : parallel::gathered(mine, group)) {
    if (numbers[0] < 0) continue;
    auto& digest = digests.at(static_cast<size_t>(numbers[0]));
    for (size_t i = 1; i < numbers.size() && numbers[i]; ++i) digest += static_cast<char>(numbers[i]);
  }
  return fmt::format("{}", fmt::join(digests, std::string(1, checkpoint::Reference::kJoined)));
}

}  // namespace

// What decides which samples come into which step.
std::string Trainer::draw_settings() const { return loader_.draw_settings() + ramp_.settings(); }

// With other data or other draws the run goes on, but not as it would have. Whether they are others.
bool Trainer::check_draws(const Progress& progress, bool accept_changes) const {
  std::vector<std::string> changes;
  const auto sources = progress.loader.rows.front().order.drawn.size();
  if (sources != loader_.sources())
    changes.push_back(fmt::format("the run drew from {} data sources; now there are {}", sources, loader_.sources()));
  else if (progress.data != loader_.fingerprint())
    changes.push_back(
        "the data is not what the run was trained on: its files, train.seed or data.shuffle have changed");
  if (!progress.draws.empty() && progress.draws != draw_settings())
    changes.push_back(fmt::format("the run drew its samples otherwise: {}; now {}", progress.draws, draw_settings()));
  else if (const auto rows = static_cast<int64_t>(progress.loader.rows.size()); rows != loader_.share().all)
    changes.push_back(fmt::format("the run drew its samples in {} rows; now there are {} (train.accumulate)", rows,
                                  loader_.share().all));
  if (changes.empty()) return false;
  const auto changed = join(changes, "; ");
  if (!accept_changes)
    fail(ErrorKind::weights, changed,
         "restore it, start a new run in another train.output, or give --accept-changes to go on with what is there "
         "now");
  log::warning(changed + "; the run goes on with what is there now");
  return true;
}

// What a step changes.
void Trainer::restore_values(const checkpoint::LoadedCheckpoint& loaded, const Progress& progress) {
  checkpoint::restore_parameters(saved_, loaded.parameters);
  if (owners_) owners_->gather_values();
  optimizer_.restore(loaded.state);
  if (average_) average_->restore(loaded.state);
  if (loss_scale_ && progress.loss_scale) {
    auto scale = *progress.loss_scale;
    scale.overflows = std::max(scale.overflows, loss_scale_->overflows());  // a run that goes back has had them
    loss_scale_->restore(scale);
  }
  loss_average_ = progress.loss_average;
}

int64_t Trainer::resume(bool accept_changes) {
  const auto path = checkpoint::latest_checkpoint(folder_.checkpoints());
  if (!path && checkpoint::has_checkpoints(folder_.checkpoints()))
    fail(ErrorKind::weights, fmt::format("none of the checkpoints in {} is complete", folder_.checkpoints().string()),
         "restore one from a copy, or start a new run in another train.output");
  if (!path) return 0;
  return with_context("resuming from " + path->string(), [&] {
    auto loaded = checkpoint::load_checkpoint(*path, true);
    const auto progress = progress_of(loaded.progress, *path / "progress.json");
    const bool changed = check_draws(progress, accept_changes);
    restore_values(loaded, progress);
    best_.restore(progress.best);
    unmeasured_ = progress.unmeasured;
    loader_.restore(progress.loader, changed);
    if (objective_.needs().reference && progress.reference.empty())
      fail(ErrorKind::weights, "the objective compares with a reference, and the run was begun without one",
           "restore [objective] of that run, or start a new one");
    if (objective_.needs().reference) {
      reference_.emplace(saved_, folder_.path(), progress.reference);
      reference_->on_exchange([this] { placement_.values_exchanged(); });
    }
    length_.restore(progress.clock);
    step_ = saved_step_ = progress.step;
    trained_tokens_ = progress.trained_tokens;
    not_finite_ = progress.not_finite, learnt_step_ = progress.learnt_step;
    skipped_ = progress.skipped, rollbacks_ = progress.rollbacks;
    log::info(fmt::format("resumed at step {} from {}: applied {}/{} tensors", step_, path->string(),
                          loaded.parameters.size(), saved_.size()));
    return step_;
  });
}

// What is the same in all processes is written by the first.
bool Trainer::holds(const Parameter& piece) const {
  return piece.box ? piece.tensor->numel() > 0 && placement_.counts(piece) : placement_.share().own == 0;
}

// The model as it is, in the files that its processes write together.
void Trainer::begin_reference() {
  reference_.emplace(saved_);
  reference_->on_exchange([this] { placement_.values_exchanged(); });
  const auto& shares = placement_.share();
  std::string digest;
  if (shares.own)
    digest = reference_->write(folder_.path(), {*shares.own, shares.count},
                               [this](const Parameter& piece) { return holds(piece); });
  if (auto* group = agreement_.group()) digest = joined_digests(digest, shares, *group);
  reference_->set_digest(digest);
}

// A number of the optimizer goes with its parameter's first element.
checkpoint::CheckpointContent Trainer::content() {
  checkpoint::CheckpointContent content;
  const auto holds = [&](const Parameter& piece) { return this->holds(piece); };
  const auto holds_first = [&](const Parameter& piece) {
    return holds(piece) && (!piece.box || std::ranges::all_of(piece.box->begin, [](int64_t at) { return at == 0; }));
  };
  const auto add = [&](weights::NamedTensors& tensors, const Parameter& parameter) {
    tensors.emplace_back(parameter.name, parameter.tensor->detach());
    if (parameter.box) content.boxes[parameter.name] = *parameter.box;
  };
  for (const auto& parameter : saved_)
    if (holds(parameter)) add(content.parameters, parameter);
  for (const auto& [value, of] : optimizer_.state())
    if (value.box ? holds(*of) : holds_first(*of)) add(content.state, value);
  if (average_)
    for (const auto& [value, of] : average_->state())
      if (holds(*of)) add(content.state, value);
  content.progress = to_json(Progress{step_, trained_tokens_, not_finite_, loss_average_, length_.state(), rows_,
                                      loader_.fingerprint(), draw_settings(), reference_ ? reference_->digest() : "",
                                      best_.state(), loss_scale_ ? std::optional(loss_scale_->state()) : std::nullopt,
                                      unmeasured_, skipped_, rollbacks_, learnt_step_});
  return content;
}

// The run ends here, so nothing changes while it is written: no copy, and its errors are the run's.
void Trainer::save_last() {
  const TraceScope scope("checkpoint");
  const beacon::Slow slow(beacon::kWritesLast);
  tell_of_checkpoint(/*wait=*/true);
  if (saved_step_ == step_) {  // by a process that was killed before it had removed the old ones, perhaps
    if (folder_.writes()) checkpoint::remove_old(folder_.checkpoints(), step_, options_.keep_checkpoints);
    return;
  }
  checkpoints_->save_now(step_, checkpoints_->writes() ? content() : checkpoint::CheckpointContent());
  saved_step_ = step_;
  log::debug(fmt::format("checkpoint of step {}", step_));
}

// After a step without a finite gradient the parameters may be spoilt, so the older checkpoints are kept.
void Trainer::save_if_possible() {
  if (not_finite_ > 0) return;
  saving_.emplace("waiting while a checkpoint is written");  // until all have drawn their next batches
  const TraceScope scope("checkpoint");
  tell_of_checkpoint(/*wait=*/true);
  try {
    checkpoints_->save(step_, checkpoints_->writes() ? content() : checkpoint::CheckpointContent());
    saved_step_ = step_;
  } catch (const Error& error) {
    count_failed_save(step_, error);
  }
}

// The checkpoint of this step stays, if it could be written.
void Trainer::keep_best() {
  tell_of_checkpoint(/*wait=*/true);
  if (saved_step_ != step_) best_.drop(step_);
  if (folder_.writes()) keep_checkpoints_of(best_.state().kept, folder_.path());
}

// The clock is agreed on by all processes and goes on where a run is resumed.
bool Trainer::keep_is_due() const {
  const double minutes = options_.keep_minutes, now = length_.elapsed_seconds() / 60;
  return minutes > 0 && std::floor(now / minutes) > std::floor((now - length_.last_seconds() / 60) / minutes);
}

void Trainer::keep_this() {
  tell_of_checkpoint(/*wait=*/true);
  if (saved_step_ == step_ && folder_.writes()) keep_checkpoint(step_, folder_.path());
}

void Trainer::take_averages() {
  if (!average_ || !options_.ema.use) return;
  average_->exchange();
  placement_.values_exchanged();
}

// Whether the last one reached the disk, once that is known.
void Trainer::tell_of_checkpoint(bool wait) {
  try {
    if (checkpoints_->outcome(wait)) log::debug(fmt::format("checkpoint of step {}", saved_step_));
  } catch (const Error& error) {
    count_failed_save(std::exchange(saved_step_, -1), error);
  }
}

// A full disk must not end a long run while the next interval may find room; the last checkpoint has to succeed.
void Trainer::count_failed_save(int64_t step, const Error& error) {
  if (error.kind() == ErrorKind::distributed) throw;  // the other processes are lost
  ++failed_saves_;
  log::warning(fmt::format("step {}: no checkpoint could be written; the training goes on: {}", step, error.what()));
}

}  // namespace antiphon::train
