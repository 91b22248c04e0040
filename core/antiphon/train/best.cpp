#include <antiphon/train/best.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/name_list.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace antiphon::train {
namespace {

// Whether the metric is one of a set of which samples could not be measured, which then has none.
bool is_of_unmeasured_set(const std::string& metric, const std::map<std::string, double>& measured) {
  return std::ranges::any_of(measured, [&](const auto& entry) {
    const auto& [name, count] = entry;
    const auto end = name.rfind('/') + 1;
    const bool counts_lost = name.ends_with("/failed") || name.ends_with("/not_finite");
    return counts_lost && count > 0 && metric.starts_with(name.substr(0, end));
  });
}

}  // namespace

Best::Best(const TrainOptions& options)
    : metric_(options.best_metric),
      largest_(options.best_mode == "max"),
      keep_(options.keep_best),
      patience_(options.patience) {
  state_.metric = options.best_mode + " " + metric_;
}

bool Best::better(const Measured& left, const Measured& right) const {
  return largest_ ? left.value > right.value : left.value < right.value;
}

double Best::value_in(const std::map<std::string, double>& measured) const {
  if (const auto found = measured.find(metric_); found != measured.end()) return found->second;
  if (is_of_unmeasured_set(metric_, measured)) return std::numeric_limits<double>::quiet_NaN();
  std::vector<std::string> names;
  for (const auto& [name, value] : measured) names.push_back(name);
  fail(ErrorKind::config,
       fmt::format("train.best_metric = \"{}\" is not measured; there are {}", metric_, name_list(names)),
       "name one of these");
}

bool Best::waits_for_answers(const std::map<std::string, double>& measured) const {
  const auto answers = measured.find(kAnswers);
  return answers != measured.end() && answers->second == 0 && !measured.contains(metric_) &&
         !is_of_unmeasured_set(metric_, measured);
}

bool Best::add(int64_t step, double value) {
  ++state_.waited;
  if (!std::isfinite(value)) return false;
  const Measured now{step, value};
  if (state_.best.empty() || better(now, state_.best.front())) state_.best = {now}, state_.waited = 0;
  auto& kept = state_.kept;
  kept.insert(std::ranges::find_if(kept, [&](const Measured& one) { return better(now, one); }), now);
  if (static_cast<int64_t>(kept.size()) > keep_) kept.pop_back();
  return std::ranges::find(kept, step, &Measured::step) != kept.end();
}

void Best::drop(int64_t step) {
  std::erase_if(state_.kept, [&](const Measured& one) { return one.step == step; });
}

std::string Best::describe() const {
  if (state_.best.empty()) return "";
  return fmt::format("{} {:.4f} at step {}", metric_, state_.best.front().value, state_.best.front().step);
}

void Best::restore(const BestState& state) {
  if (state.metric != state_.metric && !state.best.empty())
    log::warning(fmt::format("the best checkpoints were chosen by \"{}\"; now they are chosen anew, by \"{}\"",
                             state.metric, state_.metric));
  if (state.metric == state_.metric) state_ = state;
  if (static_cast<int64_t>(state_.kept.size()) > keep_) state_.kept.resize(static_cast<size_t>(keep_));
}

void check_best(const TrainOptions& options, config::Problems& problems) {
  const bool wanted = options.keep_best > 0 || options.patience > 0;
  if (wanted && options.best_metric.empty())
    problems.add({}, "train.keep_best and train.patience need to know which metric: train.best_metric is empty",
                 "set it, e.g. train.best_metric = \"eval/held/loss\"");
  if (wanted && options.eval_every == 0)
    problems.add({}, "train.keep_best and train.patience need measurements, and train.eval_every is 0",
                 "set train.eval_every to the steps between them");
  const std::pair<const char*, bool> needing[] = {{"eval_answers", options.eval_answers > 0},
                                                  {"eval_answers_every", options.eval_answers_every != 1},
                                                  {"eval_controls", !options.eval_controls.empty()}};
  for (const auto& [key, set] : needing)
    if (set && options.eval_every == 0)
      problems.add({}, fmt::format("train.{} has no effect while train.eval_every is 0", key),
                   "set train.eval_every to the steps between measurements, or leave it out");
  if (options.eval_answers_every != 1 && options.eval_answers == 0)
    problems.add({}, "train.eval_answers_every has no effect while train.eval_answers is 0",
                 "set it to how many samples are answered, or leave both out");
  if (!wanted && !options.best_metric.empty())
    problems.add({}, "train.best_metric has no effect without train.keep_best or train.patience",
                 "set one of them, or leave it out");
}

}  // namespace antiphon::train
