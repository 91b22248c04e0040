#include <antiphon/run/held_out.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/signals.h>
#include <antiphon/parallel/agreed.h>
#include <antiphon/parallel/same_run.h>

#include <cmath>
#include <cstdlib>
#include <exception>
#include <sstream>

namespace antiphon::run {
namespace {

// What is added up over the samples of a set.
struct Sums {
  double loss = 0;
  int64_t good = 0, failed = 0, not_finite = 0;
  std::map<std::string, std::pair<double, double>> metrics;
};

Sums sums_of(const std::string& name, const std::vector<eval::Outcome>& outcomes) {
  Sums sums;
  std::string reason;
  for (const auto& outcome : outcomes) {
    sums.failed += !outcome.failure.empty();
    if (!outcome.failure.empty()) reason = outcome.failure;
    if (!outcome.failure.empty()) continue;
    sums.not_finite += !std::isfinite(outcome.loss);
    sums.loss += outcome.loss, ++sums.good;
    for (const auto& [metric, sum] : outcome.metrics)
      sums.metrics[metric].first += sum.first, sums.metrics[metric].second += sum.second;
  }
  if (sums.failed > 0)
    log::warning(
        fmt::format("held-out set {}: {} samples cannot be measured, the last: {}", name, sums.failed, reason));
  return sums;
}

// Those of the process that has them, everywhere: only the last stage of a pipeline knows what the metrics are called.
Sums told(const Sums& own, int rank, comm::Group& group) {
  auto text = fmt::format("{:a} {} {} {}\n", own.loss, own.good, own.failed, own.not_finite);
  for (const auto& [name, sum] : own.metrics) text += fmt::format("{} {:a} {:a}\n", name, sum.first, sum.second);
  std::istringstream lines(parallel::said_by(rank, text, group));
  Sums sums;
  std::string name, loss, sum, count;  // streams do not read hexadecimal numbers
  lines >> loss >> sums.good >> sums.failed >> sums.not_finite;
  sums.loss = std::strtod(loss.c_str(), nullptr);
  while (lines >> name >> sum >> count)
    sums.metrics[name] = {std::strtod(sum.c_str(), nullptr), std::strtod(count.c_str(), nullptr)};
  return sums;
}

// Over all processes, of samples that have no metrics, unless each process has `all` of them. If one of them has
// failed, all do: Error(preempted) if by being stopped.
void add_up(comm::Group& group, Sums& sums, bool all, const std::exception_ptr& failure, bool stopped) {
  const auto total =
      at::tensor({sums.loss, static_cast<double>(sums.good), static_cast<double>(sums.failed),
                  static_cast<double>(sums.not_finite), static_cast<double>(stopped), failure && !stopped ? 1.0 : 0.0},
                 at::kDouble);
  group.sum(total);
  const auto* value = total.const_data_ptr<double>();
  if (failure && !stopped) std::rethrow_exception(failure);
  if (value[5] > 0) fail(ErrorKind::data, "another process could not measure its held-out samples", "see what it says");
  if (value[4] > 0) fail(ErrorKind::preempted, "stopped while held-out losses were measured");
  if (all) return;
  sums.loss = value[0], sums.good = static_cast<int64_t>(value[1]);
  sums.failed = static_cast<int64_t>(value[2]), sums.not_finite = static_cast<int64_t>(value[3]);
}

// The mean over all samples, and of each metric its sum by its count. A sample that has no loss is counted, and one
// whose loss is not finite leaves none for the set: the mean of the others would look better than the model is.
void add(std::map<std::string, double>& values, const std::string& name, const Sums& sums) {
  const auto prefix = "eval/" + name + "/";
  if (sums.not_finite > 0)
    log::warning(
        fmt::format("held-out set {}: the losses of {} samples are not finite, so it has none", name, sums.not_finite));
  values[prefix + "failed"] = static_cast<double>(sums.failed);
  values[prefix + "not_finite"] = static_cast<double>(sums.not_finite);
  if (sums.good == 0 || sums.not_finite > 0) return;
  values[prefix + "loss"] = sums.loss / static_cast<double>(sums.good);
  for (const auto& [metric, sum] : sums.metrics) values[prefix + metric] = sum.first / sum.second;
}

// Every so-many-th sample, `step` apart.
void keep_share(LoadedSet& set, size_t first, size_t step) {
  std::vector<Sample> own;
  for (size_t i = first; i < set.samples.size(); i += step) own.push_back(std::move(set.samples[i]));
  set.samples = std::move(own);
}

}  // namespace

HeldOut::HeldOut(LoadedModel& loaded, Objective& objective, parallel::Placement& placement, const parallel::Mesh& mesh,
                 comm::Group* group)
    : loaded_(loaded), objective_(objective), placement_(placement), mesh_(mesh), group_(group) {
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
  if (group_) share();
}

void HeldOut::share() {
  std::string samples;
  for (const auto& [name, set] : sets_) {
    samples += fmt::format("{}: {}\n", name, set.samples.size());
    for (const auto& sample : set.samples) samples += sample.id + "\n";
  }
  parallel::check_same(*group_, {{"choice of held-out samples that can be measured", samples}});
  const auto block = static_cast<size_t>(mesh_.block_of(group_->rank()));
  for (auto& [name, set] : sets_) {
    if (!set.compares) keep_share(set, block, static_cast<size_t>(mesh_.blocks()));
  }
}

std::vector<eval::Outcome> HeldOut::outcomes_of(const LoadedSet& set, checkpoint::Reference* reference) const {
  auto evaluator = evaluator_of(loaded_);
  if (mesh_.block_size() > 1) evaluator.largest = [&](int own) { return placement_.largest(own); };
  const auto stop = [&](size_t) {
    if (const int signal = placement_.largest(stop_requested()))
      fail(ErrorKind::preempted, fmt::format("stopped by signal {} while held-out losses were measured", signal));
  };
  if (set.compares) return evaluator.compare(set.samples, objective_, reference, stop);
  return set.samples.empty() ? std::vector<eval::Outcome>() : evaluator.run(set.samples, /*answers=*/false, stop);
}

// A process that is stopped or fails says so to the others at the end of the set, where they wait for its sums; unless
// it has left them in the middle of a pass. What objectives say of a set is no sum over samples, so that each process
// measures all of these.
std::map<std::string, double> HeldOut::measure(checkpoint::Reference* reference) const {
  std::map<std::string, double> values;
  for (const auto& [name, set] : sets_) {
    Sums sums;
    bool stopped = false;
    std::exception_ptr failure;
    try {
      placement_.run_uneven([&] { sums = sums_of(name, outcomes_of(set, reference)); });
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::distributed || !group_) throw;
      stopped = error.kind() == ErrorKind::preempted, failure = std::current_exception();
    }
    if (!placement_.has_loss() && !set.compares) sums = {};  // another of its block has them
    if (set.compares && mesh_.stages > 1) sums = told(sums, mesh_.last_of(0), *group_);
    if (group_) add_up(*group_, sums, /*all=*/set.compares, failure, stopped);
    add(values, name, sums);
  }
  return values;
}

}  // namespace antiphon::run
