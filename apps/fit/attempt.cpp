#include <fit/attempt.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <common/temporary_folder.h>
#include <fit/taken.h>
#include <launch/children.h>
#include <launch/stall.h>
#include <train/flags.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <optional>
#include <thread>

namespace antiphon::apps {
namespace {

constexpr size_t kMeasuredSteps = 3;

// Of one attempt: the run, and what the child says.
class AttemptFolder {
 public:
  std::string run() const { return folder_.path() / "run"; }
  std::string said() const { return folder_.path() / "said"; }

 private:
  TemporaryFolder folder_{"fit"};
};

// Nothing is measured, kept or sent but steps and what a checkpoint between them takes.
std::vector<std::string> words_for(const Attempts& of, int64_t tokens, const std::string& run) {
  TrainFlags flags;
  flags.open = of.open;
  auto& sets = flags.open.sets;
  for (const auto* set : {"train.max_minutes=0", "train.min_steps=0", "train.eval_every=0", "train.eval_answers=0",
                          "train.keep_minutes=0", "train.keep_best=0", "train.patience=0", "train.best_metric=\"\"",
                          "train.eval_answers_every=1", "train.eval_controls=[]", "train.loggers=[]",
                          "train.on_oom=stop", "train.rollbacks=0"})
    sets.emplace_back(set);
  sets.push_back(fmt::format("train.output={}", run));
  sets.push_back(fmt::format("train.tokens_per_batch={}", tokens));
  sets.push_back(fmt::format("data.filter.min_tokens={}", of.least_tokens));
  sets.push_back(fmt::format("train.checkpoint_every={}", of.saves_between ? 2 : 1000000000));
  return words_of(flags);
}

// Records of the steps that are done; a line that is being written is not there yet.
std::vector<nlohmann::json> steps_in(const std::string& run) {
  std::vector<nlohmann::json> steps;
  std::ifstream in(run + "/metrics.jsonl");
  std::string line;
  while (std::getline(in, line)) {
    auto record = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (record.is_object() && record.contains("train/tokens_per_second")) steps.push_back(std::move(record));
  }
  return steps;
}

// The child's error, without the advice below it; else the last line that it wrote.
std::string last_words(const std::string& file) {
  std::ifstream in(file);
  std::string line, last;
  while (std::getline(in, line)) {
    const auto error = line.find("error: ");
    if (error != std::string::npos) return line.substr(error);
    if (!line.empty()) last = line;
  }
  return last;
}

// How an attempt has ended, or was ended.
struct AttemptEnd {
  std::optional<Ended> lost;  // who ended otherwise than a training does, if nobody ended it here
  bool done = false, too_large = false, stalled = false;  // it was ended because of that
  Taken taken;
};

// Those that ended by themselves with something else than what they were started for.
std::optional<Ended> lost_among(const Children& children) {
  if (const auto* cause = cause_of(children.ended())) return *cause;
  for (const auto& one : children.ended())
    if (one.code != 0) return one;
  return std::nullopt;
}

AttemptEnd watch(const LaunchPlan& plan, const Attempts& of, const std::string& run) {
  constexpr auto kPause = std::chrono::milliseconds(10);
  AttemptEnd end{.lost = {}, .taken = Taken(plan.processes)};
  Children children(plan);
  StallWatch stall(plan.stall_seconds);
  while (children.running()) {
    children.look();
    if (of.on_host()) end.taken.look(children);
    end.too_large = of.on_host() && end.taken.most() > of.limit;
    end.done = !end.too_large && steps_in(run).size() >= kMeasuredSteps;
    stop_if_requested();
    if (end.done && of.on_host()) end.taken.look(children, /*last=*/true);
    if (end.done || end.too_large) return end;
    const bool lost = lost_among(children).has_value();
    if (lost) children.let_say_why();
    if (const auto lines = stall.look(children); !lost && !lines.empty()) {
      log::warning(join(lines, "; "));
      end.stalled = true;
      return end;
    }
    std::this_thread::sleep_for(kPause);
  }
  end.lost = lost_among(children);
  return end;
}

double last_rate(const std::vector<nlohmann::json>& steps) {
  const size_t first = steps.size() > 1 ? 1 : 0;  // the first step also warms up
  double sum = 0;
  for (size_t i = first; i < steps.size(); ++i) sum += steps[i]["train/tokens_per_second"].get<double>();
  return sum / static_cast<double>(steps.size() - first);
}

[[noreturn]] void fail_training(int64_t tokens, int code, const std::string& words) {
  const bool known = code >= static_cast<int>(ErrorKind::config) && code <= static_cast<int>(ErrorKind::distributed);
  fail(known ? static_cast<ErrorKind>(code) : ErrorKind::internal,
       fmt::format("training with train.tokens_per_batch = {} ended before {} steps: {}", tokens, kMeasuredSteps,
                   words.empty() ? fmt::format("exit code {}", code) : words),
       "mend what it says; `antiphon train` with the same options does the same");
}

// On the host what was looked at here; of GPUs the processes say it themselves.
void note_memory(const Attempts& of, const Taken& taken, const nlohmann::json& step, Attempt& attempt) {
  if (of.on_host()) {
    attempt.process = taken.where(), attempt.of_process = taken.own(attempt.process), attempt.peak = taken.most();
    return;
  }
  for (const char* key : {"train/device_memory_bytes", "train/most_memory_bytes"})
    if (step.contains(key)) attempt.peak = attempt.of_process = step[key].get<double>();
  attempt.process = static_cast<int>(step.value("train/most_memory_process", 0.0));
}

// By one process that ended: for want of memory, or the attempt shows nothing.
void note_lost(const Attempts& of, const Ended& lost, const Taken& taken, const std::string& said, Attempt& attempt) {
  attempt.process = lost.rank;
  attempt.of_process = of.on_host() ? std::optional(taken.own(lost.rank)) : std::nullopt;
  if (lost.signal == SIGKILL)
    attempt.why = "killed by the kernel";
  else if (lost.signal == 0 && lost.code == static_cast<int>(ErrorKind::memory))
    attempt.why = "out of memory";
  else
    fail_training(attempt.tokens, lost.code,
                  lost.signal ? fmt::format("signal {}", lost.signal) : last_words(said_by(said, lost.rank)));
}

}  // namespace

Attempt attempted(const Attempts& of, int64_t tokens) {
  const AttemptFolder folder;
  LaunchPlan plan;
  plan.words = words_for(of, tokens, folder.run());
  plan.processes = of.processes, plan.said = folder.said(), plan.stall_seconds = of.stall_seconds;
  const auto end = watch(plan, of, folder.run());
  const auto steps = steps_in(folder.run());
  Attempt attempt{.tokens = tokens};
  note_memory(of, end.taken, steps.empty() ? nlohmann::json::object() : steps.back(), attempt);
  if (end.too_large) {
    attempt.why = "more than the limit";
  } else if (end.lost) {
    note_lost(of, *end.lost, end.taken, folder.said(), attempt);
  } else if (end.stalled) {
    attempt.why = "stands still";
  } else if (steps.empty()) {
    fail_training(tokens, 0, last_words(said_by(folder.said(), 0)));
  } else {
    attempt.fits = attempt.peak.value_or(0) <= of.limit;
    if (!attempt.fits) attempt.why = "more than the limit";
    attempt.tokens_per_second = last_rate(steps);
  }
  return attempt;
}

}  // namespace antiphon::apps
