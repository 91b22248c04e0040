// Steps whose loss or gradient is not finite: all processes skip them, and ten in a row end the run or, as
// train.rollbacks says, take it back to a checkpoint.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/log.h>
#include <antiphon/base/name_list.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/comm/group.h>
#include <antiphon/train/gradient_norms.h>
#include <antiphon/train/progress.h>
#include <antiphon/train/trainer.h>

#include <algorithm>
#include <cmath>

namespace antiphon::train {
namespace {

constexpr int64_t kMaxNotFinite = 10;

}  // namespace

// The loss itself is a number, and a smaller scale may help.
bool Trainer::is_overflow(const StepResult& result) const {
  return loss_scale_ && std::isfinite(result.loss) && result.loss_scale >= 1;
}

// What the last step without a finite gradient held: the samples of this process, unless it is another's loss that was
// not finite.
std::string Trainer::blamed(const StepResult& result, const std::vector<std::string>& samples) const {
  const auto* group = agreement_.group();
  if (!group || result.not_finite.empty() || std::ranges::count(result.not_finite, group->rank()) > 0)
    return "the last one held the samples " + name_list(samples);
  std::vector<std::string> others;
  for (const int rank : result.not_finite) others.push_back(std::to_string(rank));
  return "in the last one the loss was not finite in process " + name_list(others) + ", which names its samples";
}

// Why the run cannot go on as it is; empty: it can.
std::string Trainer::count_skipped(const StepResult& result, const std::vector<std::string>& samples) {
  if (!result.skipped) {
    not_finite_ = 0, learnt_step_ = step_ + 1;
    return "";
  }
  ++skipped_;
  if (is_overflow(result)) {
    log::warning(
        fmt::format("step {}: the gradient overflows with a loss scale of {:g}; the step is skipped, and the "
                    "scale becomes {:g}",
                    step_ + 1, result.loss_scale, loss_scale_->value()));
    return "";
  }
  log::warning(fmt::format("step {}: loss {} and gradient norm {} are not finite; the step is skipped", step_ + 1,
                           result.loss, result.gradient_norm));
  if (++not_finite_ % kMaxNotFinite != 0) return "";
  return fmt::format("{} steps in a row had no finite gradient; {}; norms of the gradients in it: {}", not_finite_,
                     blamed(result, samples), described_gradients(optimizer_.parameters()));
}

// The number of the newest complete checkpoint of an earlier step, the same in all processes; -1: there is none.
int64_t Trainer::checkpoint_before(int64_t step) {
  tell_of_checkpoint(/*wait=*/true);
  int64_t found = -1;
  if (folder_.writes())
    if (const auto path = checkpoint::latest_checkpoint(folder_.checkpoints(), step))
      found = checkpoint::step_of(*path);
  const auto value = at::tensor({found}, at::kLong);
  if (auto* group = agreement_.group()) group->broadcast(value, 0);
  return value.item<int64_t>();
}

// The model, the optimizer and the averages become what they were after an earlier step, as if all later ones had been
// skipped: the count of steps and the data go on, so what was drawn since is not drawn again. A checkpoint of the last
// step that learnt something has the values that gave nothing finite since, so it is one of before. What was written
// after it is given up, so that the run never goes back, or is resumed, to steps that are not its own.
void Trainer::go_back(const std::string& why) {
  const beacon::Slow slow("going back to a checkpoint");
  const std::string fix = "lower the learning rate, use precision.compute = \"fp32\", or look at these samples";
  if (options_.rollbacks == 0) fail(ErrorKind::data, why, fix);
  if (rollbacks_ >= options_.rollbacks)
    fail(ErrorKind::data, fmt::format("{}; the run has gone back {} times (train.rollbacks)", why, rollbacks_), fix);
  const int64_t step = checkpoint_before(learnt_step_);
  if (step < 0)
    fail(ErrorKind::data,
         fmt::format("{}; there is no checkpoint of before step {} to go back to (train.rollbacks)", why, learnt_step_),
         fix + "; more checkpoints are there with a smaller train.checkpoint_every or a larger train.keep_checkpoints");
  const auto path = checkpoint::path_of(folder_.checkpoints(), step);
  with_context("going back to " + path.string(), [&] {
    const auto loaded = checkpoint::read_checkpoint(path, true);  // the first process has verified it
    const auto progress = progress_of(loaded.progress, path / "progress.json");
    restore_values(loaded, progress);
    learnt_step_ = progress.learnt_step;
    if (folder_.writes()) checkpoint::remove_after(folder_.checkpoints(), step);
  });
  placement_.values_exchanged();
  ++rollbacks_;
  log::warning(
      fmt::format("step {}: {}; what is trained goes back to step {}, for time {} of at most {}; the data go on",
                  step_ + 1, why, step, rollbacks_, options_.rollbacks));
}

}  // namespace antiphon::train
