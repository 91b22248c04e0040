// Steps for which there is no memory: train.on_oom.
#include <ATen/DeviceAccelerator.h>
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/comm/out_of_memory.h>
#include <antiphon/model/split_batch.h>
#include <antiphon/train/out_of_memory.h>
#include <antiphon/train/schedule.h>
#include <antiphon/train/trainer.h>

#include <algorithm>
#include <limits>

namespace antiphon::train {
namespace {

constexpr int64_t kMostWithoutMemory = 10;

}  // namespace

// Whether there was memory for it; without train.on_oom the reason why not is thrown.
bool Trainer::compute_if_it_fits(std::vector<model::Batch>& batches, StepResult& result) {
  try {
    compute_once(batches, result);
    return true;
  } catch (const std::exception& error) {
    if (options_.on_oom == "stop" || !comm::is_out_of_memory(error)) throw;
  }
  forget_pass();
  return false;
}

// The largest of the step's batches becomes two. The halves of a batch draw from one seed.
bool Trainer::split_largest(std::vector<model::Batch>& batches) {
  const auto largest = std::ranges::max_element(batches, {}, &model::Batch::tokens);
  auto halves = model::halves_of(*largest);
  if (!halves) return false;
  const auto at = largest - batches.begin();
  log::warning(fmt::format("step {}: no memory for {}; the largest is computed in two", step_ + 1,
                           described_by_length(batches)));
  batches[static_cast<size_t>(at)] = std::move(halves->first);
  batches.insert(batches.begin() + at + 1, std::move(halves->second));
  step_rows_.insert(step_rows_.begin() + at + 1, step_rows_[static_cast<size_t>(at)]);
  ++splits_;
  if (!model_.lm().device().is_cpu()) at::accelerator::emptyCache();  // of pieces that are too small now
  return true;
}

void Trainer::skip_without_memory(const std::vector<model::Batch>& batches, StepResult& result) {
  result.skipped = true;
  result.lr_ratio = lr_ratio(options_.schedule, step_, length_.steps());
  result.loss = result.gradient_norm = std::numeric_limits<double>::quiet_NaN();
  const auto held = described_by_length(batches);
  log::warning(fmt::format("step {}: no memory for {}; the step is skipped", step_ + 1, held));
  ++skipped_without_memory_;
  if (++without_memory_ < kMostWithoutMemory) return;
  fail(ErrorKind::memory,
       fmt::format("there was no memory for {} steps in a row; the last one: {}", without_memory_, held),
       "lower train.tokens_per_batch (`antiphon fit` finds the largest that fits), or set train.recompute = \"full\"");
}

}  // namespace antiphon::train
