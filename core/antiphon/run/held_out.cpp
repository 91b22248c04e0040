#include <antiphon/run/held_out.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/signals.h>
#include <antiphon/engine/generation_config.h>
#include <antiphon/engine/passes.h>
#include <antiphon/eval/calls.h>
#include <antiphon/eval/controls.h>
#include <antiphon/parallel/agreed.h>
#include <antiphon/parallel/same_run.h>
#include <antiphon/run/sample_parts.h>
#include <antiphon/run/spellings.h>

#include <cmath>
#include <cstdlib>
#include <exception>
#include <sstream>

namespace antiphon::run {

// What is added up over the samples of a set.
struct HeldOut::Sums {
  double loss = 0;
  int64_t good = 0, failed = 0, not_finite = 0;
  std::map<std::string, std::pair<double, double>> metrics;
  // Of each answer metric its counts, then of each of kCallMetrics its sum and count, one after the other.
  std::vector<double> answers;
};

namespace {

void tell_of_failures(const std::string& name, const std::vector<eval::Outcome>& outcomes, const char* what) {
  int64_t failed = 0;
  std::string reason;
  for (const auto& outcome : outcomes)
    if (!outcome.failure.empty()) ++failed, reason = outcome.failure;
  if (failed > 0)
    log::warning(fmt::format("held-out set {}: {} samples cannot be {}, the last: {}", name, failed, what, reason));
}

// Every so-many-th sample, `step` apart.
void keep_share(std::vector<Sample>& samples, size_t first, size_t step) {
  std::vector<Sample> own;
  for (size_t i = first; i < samples.size(); i += step) own.push_back(std::move(samples[i]));
  samples = std::move(own);
}

}  // namespace

HeldOut::HeldOut(LoadedModel& loaded, Objective& objective, parallel::Placement& placement, const parallel::Mesh& mesh,
                 comm::Group* group, comm::Group* block)
    : loaded_(loaded),
      objective_(objective),
      placement_(placement),
      mesh_(mesh),
      group_(group),
      block_(block),
      metrics_(loaded.config.train.eval_answers > 0 ? eval::answer_metrics(loaded.config.eval)
                                                    : std::vector<eval::AnswerMetric>()),
      spellings_(metrics_.empty() ? text::Spellings() : read_spellings(loaded.config)) {
  generation_ = loaded.config.generate;
  if (loaded.config.train.eval_answers > 0) {
    engine::read_generation_config(loaded.config.model.llm.weights, loaded.lm().llm().vocab_size(), generation_);
    engine::check_options(generation_);
  }
  for (const auto& [name, split] : loaded.config.data.eval) {
    if (!split.enabled) continue;
    try {
      Set set{load_set(split, loaded, objective.needs().of_record()), {}, {}, false};
      log::info(fmt::format("held-out set {}: {} samples, measured every {} steps", name, set.right.samples.size(),
                            loaded.config.train.eval_every));
      if (!set.right.compares) add_controls(name, set);
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

void HeldOut::add_controls(const std::string& name, Set& set) {
  const auto& samples = set.right.samples;
  const auto answered = std::min(samples.size(), static_cast<size_t>(loaded_.config.train.eval_answers));
  set.answered.assign(samples.begin(), samples.begin() + static_cast<long>(answered));
  set.judges_refusals = eval::asks_for_refusals(set.answered);
  const bool media = std::ranges::any_of(samples, [](const Sample& sample) { return !sample.media.empty(); });
  for (const auto& control : loaded_.config.train.eval_controls) try {
      if (!media) fail(ErrorKind::data, "the set has no media");
      set.controls[control] = control == "removed"
                                  ? eval::without_media(samples)
                                  : eval::with_shuffled_media(samples, static_cast<uint64_t>(loaded_.config.eval.seed));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      log::warning(fmt::format("held-out set {}: no loss with media {}: {}", name, control, error.message()));
    }
}

void HeldOut::share() {
  std::string samples;
  for (const auto& [name, set] : sets_) {
    samples += fmt::format("{}: {}\n", name, set.right.samples.size());
    for (const auto& sample : set.right.samples) samples += sample.id + "\n";
  }
  parallel::check_same(*group_, {{"choice of held-out samples that can be measured", samples}});
  const auto block = static_cast<size_t>(mesh_.block_of(group_->rank())), blocks = static_cast<size_t>(mesh_.blocks());
  for (auto& [name, set] : sets_) {
    if (set.right.compares) continue;
    keep_share(set.right.samples, block, blocks), keep_share(set.answered, block, blocks);
    for (auto& [control, of_control] : set.controls) keep_share(of_control, block, blocks);
  }
}

// `all`: every process measures the same samples, with exchanges between any of them.
void HeldOut::look_for_stop(bool all) const {
  const int own = stop_requested();
  if (const int signal = all ? static_cast<int>(parallel::largest(own, group_)) : placement_.largest(own))
    fail(ErrorKind::preempted, fmt::format("stopped by signal {} while held-out losses were measured", signal));
}

std::vector<eval::Outcome> HeldOut::outcomes_of(const LoadedSet& set, const std::vector<Sample>& samples,
                                                checkpoint::Reference* reference) const {
  auto evaluator = evaluator_of(loaded_);
  if (set.compares && group_)
    evaluator.largest = [&](int own) { return static_cast<int>(parallel::largest(own, group_)); };
  else if (mesh_.block_size() > 1)
    evaluator.largest = [&](int own) { return placement_.largest(own); };
  const auto stop = [&](size_t) { look_for_stop(set.compares); };
  if (set.compares) return evaluator.compare(samples, objective_, reference, stop);
  return samples.empty() ? std::vector<eval::Outcome>() : evaluator.run(samples, /*answers=*/false, stop);
}

HeldOut::Sums HeldOut::measured(const std::string& name, const LoadedSet& set, const std::vector<Sample>& samples,
                                checkpoint::Reference* reference) const {
  const auto outcomes = outcomes_of(set, samples, reference);
  tell_of_failures(name, outcomes, "measured");
  if (!placement_.has_loss() && !set.compares) return {};  // another of its block has them
  Sums sums;
  for (const auto& outcome : outcomes) {
    sums.failed += !outcome.failure.empty();
    if (!outcome.failure.empty()) continue;
    sums.not_finite += !std::isfinite(outcome.loss);
    sums.loss += outcome.loss, ++sums.good;
    for (const auto& [metric, sum] : outcome.metrics)
      sums.metrics[metric].first += sum.first, sums.metrics[metric].second += sum.second;
  }
  return sums;
}

// Those of the process that has them, everywhere: only the last stage of a pipeline knows what the metrics are called.
HeldOut::Sums HeldOut::told_by(int rank, const Sums& own) const {
  auto text = fmt::format("{:a} {} {} {}\n", own.loss, own.good, own.failed, own.not_finite);
  for (const auto& [name, sum] : own.metrics) text += fmt::format("{} {:a} {:a}\n", name, sum.first, sum.second);
  std::istringstream lines(parallel::said_by(rank, text, *group_));
  Sums sums;
  std::string name, loss, sum, count;  // streams do not read hexadecimal numbers
  lines >> loss >> sums.good >> sums.failed >> sums.not_finite;
  sums.loss = std::strtod(loss.c_str(), nullptr);
  while (lines >> name >> sum >> count)
    sums.metrics[name] = {std::strtod(sum.c_str(), nullptr), std::strtod(count.c_str(), nullptr)};
  return sums;
}

// What several processes have together, or in pieces that come and go, writes by whole passes.
eval::Evaluator HeldOut::answering() {
  auto evaluator = evaluator_of(loaded_);
  evaluator.generation = generation_;
  if (mesh_.block_size() > 1) evaluator.largest = [&](int own) { return placement_.largest(own); };
  const auto& parallel = loaded_.config.parallel;
  if (block_ || parallel.fsdp > 1 || parallel.offload_optimizer)
    evaluator.write = [this](std::vector<data::Prepared> prompts, const engine::GenerateOptions& options) {
      const auto& tokenizer = loaded_.tokenizer();
      return engine::answers_by_passes(loaded_.lm(), std::move(prompts), options, tokenizer.eos_ids(), tokenizer,
                                       {block_, mesh_.number_of(mesh_.last_of(0))});
    };
  return evaluator;
}

size_t HeldOut::counts_of_answers() const {
  size_t counts = 2 * std::size(eval::kCallMetrics);
  for (const auto& metric : metrics_) counts += metric.counts({}).size();
  return counts;
}

void HeldOut::add_answer(const Sample& sample, const std::string& predicted, bool judges_refusals,
                         std::vector<double>& counts) const {
  const auto& options = loaded_.config.eval;
  const auto pair = eval::pair_of(predicted, eval::expected_answer(sample), options, spellings_);
  auto* to = counts.data();
  for (const auto& metric : metrics_)
    for (const double count : metric.counts(pair)) *to++ += count;
  auto judged = eval::call_metrics(sample, predicted, options, judges_refusals);
  for (const auto* name : eval::kCallMetrics) {
    const auto [sum, count] = judged[name];
    *to++ += sum, *to++ += count;
  }
}

HeldOut::Sums HeldOut::answered(const std::string& name, const Set& set) {
  const auto& samples = set.answered;
  const auto evaluator = answering();
  const auto outcomes = evaluator.answers(samples, [&](size_t) { look_for_stop(/*all=*/false); });
  tell_of_failures(name, outcomes, "answered");
  Sums sums;
  sums.answers.resize(counts_of_answers(), 0.0);
  size_t shown = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    sums.failed += !outcomes[i].failure.empty();
    if (!outcomes[i].failure.empty()) continue;
    ++sums.good;
    add_answer(samples[i], outcomes[i].predicted, set.judges_refusals, sums.answers);
    if (shown++ < kShown)
      answers_.push_back({{"set", name},
                          {"id", samples[i].id},
                          {"question", question_of(samples[i])},
                          {"expected", eval::expected_answer(samples[i])},
                          {"predicted", outcomes[i].predicted}});
  }
  return placement_.has_loss() ? sums : Sums();  // all of its block know the same
}

// A process that is stopped or fails says so to the others at the end of the set, where they wait for its sums; unless
// it has left them in the middle of a pass. What objectives say of a set is not a sum over samples, so that each
// process measures `all` of these. If one of them has failed, all do: Error(preempted) if by being stopped.
HeldOut::Sums HeldOut::together(bool all, const std::function<Sums()>& work) const {
  Sums sums;
  bool stopped = false;
  std::exception_ptr failure;
  try {
    placement_.run_uneven([&] { sums = work(); });
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::distributed || error.kind() == ErrorKind::memory || !group_) throw;
    stopped = error.kind() == ErrorKind::preempted, failure = std::current_exception();
  } catch (const std::exception&) {  // of LibTorch: out of memory, say
    if (!group_) throw;
    failure = std::current_exception();
  }
  if (!group_) return sums;
  if (all && mesh_.stages > 1) sums = told_by(mesh_.last_of(0), sums);
  std::vector<double> numbers{sums.loss,
                              static_cast<double>(sums.good),
                              static_cast<double>(sums.failed),
                              static_cast<double>(sums.not_finite),
                              static_cast<double>(stopped),
                              failure && !stopped ? 1.0 : 0.0};
  sums.answers.resize(counts_of_answers(), 0.0);  // one that has failed has none, and is waited for
  numbers.insert(numbers.end(), sums.answers.begin(), sums.answers.end());
  const auto total = at::tensor(numbers, at::kDouble);
  group_->sum(total);
  const auto* value = total.const_data_ptr<double>();
  if (failure && !stopped) std::rethrow_exception(failure);
  if (value[5] > 0) fail(ErrorKind::data, "another process could not measure its held-out samples", "see what it says");
  if (value[4] > 0) fail(ErrorKind::preempted, "stopped while held-out losses were measured");
  if (all) return sums;
  sums.loss = value[0], sums.good = static_cast<int64_t>(value[1]);
  sums.failed = static_cast<int64_t>(value[2]), sums.not_finite = static_cast<int64_t>(value[3]);
  sums.answers.assign(value + 6, value + numbers.size());
  return sums;
}

bool HeldOut::wants_answers(int64_t step, bool last) const {
  const auto& train = loaded_.config.train;
  return train.eval_answers > 0 && (last || step / train.eval_every % train.eval_answers_every == 0);
}

// The mean over all samples, and of each metric its sum by its count. A sample that has no loss is counted, and one
// whose loss is not finite leaves none for the set: the mean of the others would look better than the model is.
std::map<std::string, double> HeldOut::measure(checkpoint::Reference* reference, bool answers) {
  std::map<std::string, double> values;
  answers_.clear();
  if (loaded_.config.train.eval_answers > 0) values["eval/answers"] = 0;
  for (const auto& [name, set] : sets_) {
    const auto prefix = "eval/" + name + "/";
    const auto& right = set.right;
    const auto sums = together(right.compares, [&] { return measured(name, right, right.samples, reference); });
    if (sums.not_finite > 0)
      log::warning(fmt::format("held-out set {}: the losses of {} samples are not finite, so it has none", name,
                               sums.not_finite));
    values[prefix + "failed"] = static_cast<double>(sums.failed);
    values[prefix + "not_finite"] = static_cast<double>(sums.not_finite);
    if (sums.good > 0 && sums.not_finite == 0) {
      values[prefix + "loss"] = sums.loss / static_cast<double>(sums.good);
      for (const auto& [metric, sum] : sums.metrics) values[prefix + metric] = sum.first / sum.second;
    }
    for (const auto& [control, samples] : set.controls) {
      const auto of = together(false, [&] { return measured(name, right, samples, reference); });
      if (of.good > 0 && of.not_finite == 0)
        values[prefix + "loss_" + control] = of.loss / static_cast<double>(of.good);
    }
    if (!answers || right.compares) continue;
    const auto written = together(false, [&] { return answered(name, set); });
    values["eval/answers"] += static_cast<double>(written.good);
    values[prefix + "failed"] += static_cast<double>(written.failed);
    if (written.good == 0) continue;
    std::span<const double> rest(written.answers);
    for (const auto& metric : metrics_) {
      const auto size = metric.counts({}).size();
      values[prefix + metric.name] = metric.score(rest.first(size));
      rest = rest.subspan(size);
    }
    for (const auto* metric : eval::kCallMetrics) {
      if (rest[1] > 0) values[prefix + metric] = rest[0] / rest[1];
      rest = rest.subspan(2);
    }
  }
  return values;
}

}  // namespace antiphon::run
