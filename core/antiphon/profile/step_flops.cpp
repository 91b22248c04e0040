#include <antiphon/profile/step_flops.h>

#include <antiphon/base/trace.h>

#include <bit>

namespace antiphon::profile {

double recorded_flops() {
  double flops = trace::flops_without_scope();
  for (const auto& total : trace::totals())
    if (total.main) flops += total.flops;
  return flops;
}

StepFlops::~StepFlops() {
  if (counter_) trace::stop();
}

void StepFlops::begin_step() {
  ++steps_;
  const bool counts = steps_ % kEvery == 0 || std::has_single_bit(static_cast<uint64_t>(steps_));
  if (!counts || trace::on()) return;
  counter_ = std::make_unique<FlopCounter>();
  left_out_ = 0;
  trace::start();
}

double StepFlops::end_step(int64_t tokens) {
  const auto count = static_cast<double>(tokens);
  if (!counter_) return tokens_ > 0 ? flops_ / tokens_ * count : 0;
  trace::stop();
  counter_.reset();
  const double flops = recorded_flops() - left_out_;
  if (tokens > 0) flops_ = flops, tokens_ = count;
  return flops;
}

StepFlops::Pause::Pause(StepFlops& flops) : flops_(flops), before_(flops.counter_ ? recorded_flops() : 0) {}

StepFlops::Pause::~Pause() {
  if (flops_.counter_) flops_.left_out_ += recorded_flops() - before_;
}

}  // namespace antiphon::profile
