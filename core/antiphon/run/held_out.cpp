#include <antiphon/run/held_out.h>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/eval/evaluate.h>

#include <cmath>

namespace antiphon::run {
namespace {

// The mean of what is good, and of each metric its sum by its count.
void add(std::map<std::string, double>& values, const std::string& prefix, const std::vector<eval::Outcome>& outcomes) {
  double loss = 0;
  int64_t good = 0;
  std::map<std::string, std::pair<double, double>> metrics;
  for (const auto& outcome : outcomes) {
    if (!outcome.failure.empty() || !std::isfinite(outcome.loss)) continue;
    loss += outcome.loss, ++good;
    for (const auto& [name, metric] : outcome.metrics)
      metrics[name].first += metric.first, metrics[name].second += metric.second;
  }
  if (good == 0) return;
  values[prefix + "loss"] = loss / static_cast<double>(good);
  for (const auto& [name, metric] : metrics) values[prefix + name] = metric.first / metric.second;
}

}  // namespace

HeldOut::HeldOut(LoadedModel& loaded, Objective& objective) : loaded_(loaded), objective_(objective) {
  for (const auto& [name, split] : loaded.config.data.eval) {
    if (!split.enabled) continue;
    auto& set = sets_[name] = load_set(split, loaded, objective.needs().candidates);
    if (!set.compares) loaded.writer();
    log::info(fmt::format("held-out set {}: {} samples, measured every {} steps", name, set.samples.size(),
                          loaded.config.train.eval_every));
  }
  if (sets_.empty())
    fail(ErrorKind::config, "train.eval_every is set and there is nothing to evaluate",
         "add [[data.eval.NAME.sources]] with a path, or leave train.eval_every at 0");
}

std::map<std::string, double> HeldOut::measure(checkpoint::Reference* reference) const {
  const eval::Evaluator evaluator{*loaded_.model,
                                  loaded_.preparer,
                                  loaded_.tokenizer(),
                                  loaded_.cache,
                                  loaded_.config.eval,
                                  loaded_.config.generate,
                                  loaded_.config.train.logits_chunk};
  std::map<std::string, double> values;
  for (const auto& [name, set] : sets_)
    add(values, "eval/" + name + "/",
        set.compares ? evaluator.compare(set.samples, objective_, reference, [](size_t) {})
                     : evaluator.run(set.samples, /*answers=*/false, [](size_t) {}));
  return values;
}

}  // namespace antiphon::run
