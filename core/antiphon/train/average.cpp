#include <antiphon/train/average.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>

namespace antiphon::train {
namespace {

constexpr const char* kAverageSuffix = "#ema";

}  // namespace

Average::Average(std::vector<Parameter> trained, double decay) : trained_(std::move(trained)), decay_(decay) {
  for (const auto& parameter : trained_) values_.push_back(parameter.tensor->detach().clone());
}

void Average::update() {
  c10::AutoGradMode no_grad(false);
  for (size_t i = 0; i < trained_.size(); ++i) values_[i].lerp_(trained_[i].tensor->detach(), 1 - decay_);
}

// In place, since others have views of the parameters, and versions tell what is derived from them.
void Average::exchange() {
  c10::AutoGradMode no_grad(false);
  for (size_t i = 0; i < trained_.size(); ++i) {
    const auto value = trained_[i].tensor->detach().clone();
    trained_[i].tensor->copy_(values_[i]);
    values_[i].copy_(value);
  }
}

std::vector<Average::State> Average::state() {
  std::vector<State> all;
  for (size_t i = 0; i < trained_.size(); ++i) {
    auto& own = all.emplace_back(State{{trained_[i].name + kAverageSuffix, &values_[i]}, &trained_[i]});
    own.value.box = trained_[i].box;
  }
  return all;
}

void Average::restore(const checkpoint::StoredTensors& state) {
  for (const auto& [own, of] : this->state()) {
    const auto found = state.find(own.name);
    if (found == state.end() || found->second.sizes() != own.whole_sizes())
      fail(
          ErrorKind::weights,
          fmt::format("the checkpoint has no average '{}' of shape [{}]", own.name, fmt::join(own.whole_sizes(), ", ")),
          "resume with the train.ema that the run started with, or set train.ema.decay = 0");
    own.tensor->copy_(found->second.read(own));
  }
}

checkpoint::StoredTensors averaged(checkpoint::StoredTensors parameters, const checkpoint::StoredTensors& state) {
  int64_t applied = 0;
  for (auto& [name, value] : parameters) {
    const auto found = state.find(name + kAverageSuffix);
    if (found != state.end()) value = found->second, ++applied;
  }
  if (applied == 0)
    fail(ErrorKind::weights, "train.ema.use = true, and the checkpoint holds no averages",
         "use one of a run with train.ema.decay above 0, or set train.ema.use = false");
  return parameters;
}

}  // namespace antiphon::train
