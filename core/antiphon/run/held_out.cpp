#include <antiphon/run/held_out.h>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/signals.h>

#include <cmath>

namespace antiphon::run {
namespace {

// The mean over all samples, and of each metric its sum by its count. A sample that has no loss is counted, and one
// whose loss is not finite leaves none for the set: the mean of the others would look better than the model is.
void add(std::map<std::string, double>& values, const std::string& name, const std::vector<eval::Outcome>& outcomes) {
  const auto prefix = "eval/" + name + "/";
  double loss = 0;
  int64_t good = 0, failed = 0, not_finite = 0;
  std::string reason;
  std::map<std::string, std::pair<double, double>> metrics;
  for (const auto& outcome : outcomes) {
    failed += !outcome.failure.empty();
    if (!outcome.failure.empty()) reason = outcome.failure;
    if (!outcome.failure.empty()) continue;
    not_finite += !std::isfinite(outcome.loss);
    loss += outcome.loss, ++good;
    for (const auto& [metric, sum] : outcome.metrics)
      metrics[metric].first += sum.first, metrics[metric].second += sum.second;
  }
  if (failed > 0)
    log::warning(fmt::format("held-out set {}: {} samples cannot be measured, the last: {}", name, failed, reason));
  if (not_finite > 0)
    log::warning(
        fmt::format("held-out set {}: the losses of {} samples are not finite, so it has none", name, not_finite));
  values[prefix + "failed"] = static_cast<double>(failed),
                  values[prefix + "not_finite"] = static_cast<double>(not_finite);
  if (good == 0 || not_finite > 0) return;
  values[prefix + "loss"] = loss / static_cast<double>(good);
  for (const auto& [metric, sum] : metrics) values[prefix + metric] = sum.first / sum.second;
}

}  // namespace

HeldOut::HeldOut(LoadedModel& loaded, Objective& objective) : loaded_(loaded), objective_(objective) {
  for (const auto& [name, split] : loaded.config.data.eval) {
    if (!split.enabled) continue;
    try {
      auto set = load_set(split, loaded, objective.needs().candidates);
      log::info(fmt::format("held-out set {}: {} samples, measured every {} steps", name, set.samples.size(),
                            loaded.config.train.eval_every));
      sets_[name] = std::move(set);
    } catch (const Error& error) {  // one for another stage, say
      if (error.kind() != ErrorKind::data) throw;
      log::warning(fmt::format("held-out set {} is not measured: {}", name, error.what()));
    }
  }
  if (sets_.empty())
    fail(ErrorKind::data, "train.eval_every is set, and no set of [data.eval] can be measured",
         "look at the warnings above, or leave train.eval_every at 0");
}

std::map<std::string, double> HeldOut::measure(checkpoint::Reference* reference) const {
  const auto evaluator = evaluator_of(loaded_);
  std::map<std::string, double> values;
  const auto stop = [](size_t) { stop_if_requested(); };
  for (const auto& [name, set] : sets_)
    add(values, name,
        set.compares ? evaluator.compare(set.samples, objective_, reference, stop)
                     : evaluator.run(set.samples, /*answers=*/false, stop));
  return values;
}

}  // namespace antiphon::run
