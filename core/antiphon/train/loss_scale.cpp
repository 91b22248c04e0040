#include <antiphon/train/loss_scale.h>

#include <cmath>

namespace antiphon::train {

LossScale::LossScale(const LossScaleOptions& options)
    : options_(options), scale_(static_cast<float>(options.initial)) {}

void LossScale::update(bool overflow) {
  if (overflow) {
    scale_ = static_cast<float>(scale_ * options_.backoff);
    good_steps_ = 0, ++overflows_;
    return;
  }
  if (++good_steps_ < options_.interval) return;
  good_steps_ = 0;
  const auto grown = static_cast<float>(scale_ * options_.growth);
  if (std::isfinite(grown)) scale_ = grown;
}

void LossScale::restore(const State& state) {
  scale_ = static_cast<float>(state.scale);
  good_steps_ = state.good_steps, overflows_ = state.overflows;
}

}  // namespace antiphon::train
