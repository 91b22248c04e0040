// What a run says of its processes, and when it ends.
#include <fmt/format.h>

#include <antiphon/base/host_name.h>
#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>
#include <antiphon/parallel/agreed.h>
#include <antiphon/train/trainer.h>

namespace antiphon::train {

// What the clock did to the run, if it did anything.
void Trainer::tell_of_time() const {
  const auto limit = human_duration(length_.limit_seconds());
  if (length_.outlasted())
    log::warning(
        fmt::format("step {} alone took {}, more than the {} that train.max_minutes gives to all: the run ends here, "
                    "with its checkpoint\n  fix: raise train.max_minutes and go on with --resume, or lower "
                    "train.tokens_per_batch",
                    step_, human_duration(length_.last_seconds()), limit));
  else if (best_.has_stopped())
    log::info(fmt::format("{} measurements without a better value end the run (train.patience)", options_.patience));
  else if (data_ended_)
    log::info(fmt::format("the data has ended after {} of {} steps: all sources have had their epochs", step_,
                          length_.steps()));
  else if (step_ < length_.steps())
    log::warning(
        fmt::format("the {} of train.max_minutes are over after {} of {} steps\n  fix: raise "
                    "train.max_minutes and go on with --resume",
                    limit, step_, length_.steps()));
}

void Trainer::tell_of_data() const {
  const auto filtered = rows_.counts().filtered;
  if (data::total(filtered) > 0)
    log::info(fmt::format("data.filter left out {} samples: {}", data::total(filtered), data::describe(filtered)));
}

// In fp16 the loss scale has counted them, also in runs of before they were counted otherwise.
void Trainer::tell_of_skipped() const {
  const int64_t skipped = loss_scale_ ? loss_scale_->overflows() : skipped_;
  if (skipped == 0 && !loss_scale_) return;
  log::info(fmt::format("{} steps were skipped because a loss or gradient was not finite{}{}", skipped,
                        loss_scale_ ? fmt::format("; the loss scale is {:g}", loss_scale_->value()) : "",
                        rollbacks_ > 0 ? fmt::format("; the run went back {} times", rollbacks_) : ""));
}

// All processes find the same, so all take part in asking for the name.
void Trainer::look_for_stragglers(const std::vector<StepWork>& work) {
  for (const auto& found : stragglers_.add(work)) {
    const auto host = parallel::said_by(found.rank, host_name(), *agreement_.group());
    if (folder_.writes()) log::warning(described(found, host));
  }
}

RunEnd Trainer::tell_of_end() const {
  if (length_.too_few()) {
    log::warning(
        fmt::format("{} steps are fewer than train.min_steps = {}: the run stops after step {}, with a "
                    "checkpoint\n  fix: go on with --resume and train.max_minutes = {}, or lower "
                    "train.min_steps; or train less at a step (train.tokens_per_batch)",
                    length_.steps(), options_.min_steps, step_, length_.sufficient_minutes(step_)));
    return RunEnd::too_few_steps;
  }
  tell_of_time();
  tell_of_data();
  tell_of_skipped();
  if (best_.wanted() && !best_.describe().empty()) log::info("best " + best_.describe());
  log::info(fmt::format("trained {} steps, {} tokens in {}; average loss {:.4f}; {} samples skipped", step_,
                        human_count(static_cast<double>(trained_tokens_)), human_duration(length_.elapsed_seconds()),
                        loss_average_, rows_.counts().bad));
  return RunEnd::trained;
}

}  // namespace antiphon::train
