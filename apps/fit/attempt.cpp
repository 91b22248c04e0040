#include <fit/attempt.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <common/program.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

namespace antiphon::apps {
namespace {

constexpr size_t kMeasuredSteps = 3;

// Of one attempt: the run, and what the child says.
class AttemptFolder {
 public:
  AttemptFolder() {
    auto name = (std::filesystem::temp_directory_path() / "antiphon-fit-XXXXXX").string();
    if (!mkdtemp(name.data()))
      fail(ErrorKind::config, fmt::format("cannot make a folder for the attempts: {}", std::strerror(errno)),
           "let TMPDIR name a folder with room for a checkpoint");
    path_ = name;
  }
  ~AttemptFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  AttemptFolder(const AttemptFolder&) = delete;
  std::string run() const { return path_ / "run"; }
  std::string said() const { return path_ / "said.txt"; }

 private:
  std::filesystem::path path_;
};

// Nothing is measured, kept or sent but steps and what a checkpoint between them takes.
std::vector<std::string> words_of(const Attempts& of, int64_t tokens, const std::string& run) {
  std::vector<std::string> words{program_path(), "train", of.open.file};
  auto sets = of.open.sets;
  for (const auto* set :
       {"train.max_minutes=0", "train.min_steps=0", "train.eval_every=0", "train.eval_answers=0",
        "train.keep_minutes=0", "train.keep_best=0", "train.patience=0", "train.best_metric=\"\"",
        "train.eval_answers_every=1", "train.eval_controls=[]", "train.loggers=[]", "train.on_oom=stop"})
    sets.emplace_back(set);
  sets.push_back(fmt::format("train.output={}", run));
  sets.push_back(fmt::format("train.tokens_per_batch={}", tokens));
  sets.push_back(fmt::format("data.filter.min_tokens={}", of.least_tokens));
  sets.push_back(fmt::format("train.checkpoint_every={}", of.saves_between ? 2 : 1000000000));
  for (const auto& set : sets) words.insert(words.end(), {"--set", set});
  words.insert(words.end(), {"--device", of.open.device, "--threads", std::to_string(of.open.threads)});
  if (!of.open.stage.empty()) words.insert(words.end(), {"--stage", of.open.stage});
  return words;
}

// It dies with this process, and has a group of its own: a terminal's Ctrl-C is this process's.
pid_t start_attempt(const std::vector<std::string>& words, const std::string& said) {
  std::vector<char*> argv;
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = getpid(), child = fork();
  if (child < 0) fail(ErrorKind::memory, fmt::format("cannot start a process: {}", std::strerror(errno)));
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  setpgid(0, 0);
  const int out = ::open(said.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  dup2(out, STDOUT_FILENO), dup2(out, STDERR_FILENO);
  execv(argv[0], argv.data());
  _exit(1);
}

// The largest resident size so far, in bytes; 0 of a process that has ended.
double peak_of(pid_t child) {
  std::ifstream in(fmt::format("/proc/{}/status", child));
  std::string line;
  while (std::getline(in, line))
    if (line.starts_with("VmHWM:")) return 1024 * std::strtod(line.c_str() + std::strlen("VmHWM:"), nullptr);
  return 0;
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

// How a child has ended, or was ended.
struct AttemptEnd {
  int status = 0;
  bool done = false, too_large = false;  // it was ended because of that
  double peak = 0;
};

AttemptEnd watch(pid_t child, const Attempts& of, const std::string& run) {
  constexpr auto kPause = std::chrono::milliseconds(10);
  AttemptEnd end;
  const bool on_cpu = of.open.device == "cpu";
  while (waitpid(child, &end.status, WNOHANG) == 0) {
    end.peak = std::max(end.peak, peak_of(child));
    end.too_large = on_cpu && end.peak > of.limit;
    end.done = !end.too_large && steps_in(run).size() >= kMeasuredSteps;
    if (end.done || end.too_large || stop_requested()) {
      kill(child, SIGKILL);
      waitpid(child, &end.status, 0);
      stop_if_requested();
      return end;
    }
    std::this_thread::sleep_for(kPause);
  }
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

}  // namespace

Attempt attempted(const Attempts& of, int64_t tokens) {
  const AttemptFolder folder;
  const auto end = watch(start_attempt(words_of(of, tokens, folder.run()), folder.said()), of, folder.run());
  const auto steps = steps_in(folder.run());
  Attempt attempt{tokens, false, end.peak, 0, ""};
  const bool ended_here = end.done || end.too_large;
  const int ended_by = WIFSIGNALED(end.status) && !ended_here ? WTERMSIG(end.status) : 0;
  const int code = WIFEXITED(end.status) ? WEXITSTATUS(end.status) : 0;
  if (end.too_large) {
    attempt.why = "more than the limit";
  } else if (ended_by == SIGKILL) {
    attempt.why = "killed by the kernel";
  } else if (code == static_cast<int>(ErrorKind::memory)) {
    attempt.why = "out of memory";
  } else if (ended_by != 0 || code != 0 || steps.empty()) {
    fail_training(tokens, code, ended_by ? fmt::format("signal {}", ended_by) : last_words(folder.said()));
  } else {
    if (of.open.device != "cpu") attempt.peak = steps.back().value("train/device_memory_bytes", end.peak);
    attempt.fits = attempt.peak <= of.limit;
    if (!attempt.fits) attempt.why = "more than the limit";
    attempt.tokens_per_second = last_rate(steps);
  }
  return attempt;
}

}  // namespace antiphon::apps
