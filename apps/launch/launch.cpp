// antiphon launch FILE --procs N
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>
#include <antiphon/early/stop_signals.h>
#include <launch/children.h>
#include <launch/stall.h>
#include <train/flags.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <thread>

namespace antiphon::apps {
namespace {

struct LaunchFlags {
  TrainFlags train;
  LaunchPlan plan;
  int restarts = 3;
};

// How one attempt ended.
struct End {
  int code = 0;
  bool again = false;                  // it may go better another time: no fault of the configuration or the data
  bool begun = false, got_on = false;  // a step was begun; was done
  std::string why;
};

// Signals as a file to read, so that nothing is interrupted by them. Those that are ignored (nohup) stay so; the run
// survives the reader of its messages.
int open_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  for (const int signal : early::kStopSignals) {
    struct sigaction before {};
    if (sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) sigaddset(&set, signal);
  }
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

// The signal that asks for an end, or 0.
int next_stop(int signals) {
  signalfd_siginfo info{};
  while (read(signals, &info, sizeof info) == sizeof info)
    if (info.ssi_signo != SIGCHLD) return static_cast<int>(info.ssi_signo);
  return 0;
}

void wait_a_little(const Children& children, int signals) {
  constexpr int kMilliseconds = 200;
  std::vector<pollfd> files{{signals, POLLIN, 0}};
  for (const int file : children.outputs()) files.push_back({file, POLLIN, 0});
  poll(files.data(), files.size(), kMilliseconds);
}

std::string words_for(const Ended& ended) {
  if (ended.signal)
    return fmt::format("process {} was ended by signal {} ({})", ended.rank, ended.signal, strsignal(ended.signal));
  return fmt::format("process {} ended with exit code {}", ended.rank, ended.code);
}

bool was_stopped(const Children& children) {
  return std::ranges::any_of(children.ended(),
                             [](const Ended& one) { return one.code == static_cast<int>(ErrorKind::preempted); });
}

End end_of(const Children& children, const StallWatch& watch, int stopped_by) {
  End end;
  end.got_on = watch.got_on(), end.begun = watch.begun();
  if (const auto* cause = cause_of(children.ended())) {
    const bool lost = cause->signal || cause->code == static_cast<int>(ErrorKind::distributed);
    end.code = cause->signal ? static_cast<int>(ErrorKind::distributed) : cause->code;
    end.again = lost && !stopped_by;
    end.why = words_for(*cause);
    // One that is asked to stop before the first step leaves the others, which only lose it.
    const bool asked = was_stopped(children) && !cause->signal && lost;
    if (asked || (stopped_by && cause->signal == stopped_by)) {
      end.code = static_cast<int>(ErrorKind::preempted), end.again = false;
    }
    return end;
  }
  for (const auto& one : children.ended()) end.code = std::max(end.code, one.code);
  return end;
}

// Until all have ended. After the first that does not end well the others are let say why, and may go on for as long as
// they write the last checkpoint.
End run_once(const LaunchPlan& plan, int signals) {
  Children children(plan);
  StallWatch watch(plan.stall_seconds);
  int stopped_by = 0;
  std::optional<StallWatch::Clock::time_point> asked;
  while (children.running()) {
    wait_a_little(children, signals);
    if (const int signal = next_stop(signals)) children.pass_on(stopped_by = signal);
    children.look();
    const auto now = StallWatch::Clock::now();
    // One that was asked to stop by somebody else takes the others with it; before the first step these may wait for it
    // where no signal reaches them.
    if (!stopped_by && was_stopped(children)) children.ask_others(stopped_by = SIGTERM), asked = now;
    if (asked && !watch.begun() && now - *asked > std::chrono::seconds(10)) children.kill_all();
    const bool lost = cause_of(children.ended()) != nullptr;
    const auto lines = watch.look(children);
    if (lost) children.let_say_why(lines.empty() && children.writes_last());
    if (lines.empty() || lost) continue;
    for (const auto& line : lines) log::error(line);
    return {static_cast<int>(ErrorKind::distributed), !stopped_by, watch.begun(), watch.got_on(), lines[1]};
  }
  return end_of(children, watch, stopped_by);
}

int launch(LaunchFlags flags) {
  flags.plan.words = words_of(flags.train);
  const int signals = open_signals();
  int left = flags.restarts;
  while (true) {
    const auto end = run_once(flags.plan, signals);
    if (!end.why.empty()) log::error(end.why + "; the others were ended");
    if (!end.again) return end.code;
    left -= end.got_on ? 1 : 2;  // what fails before its first step will do so again
    if (left < 0)
      fail(ErrorKind::distributed, "the run was lost too often: " + end.why,
           "look at the messages above; give --restarts for more attempts");
    log::warning("all processes are started again, from the newest checkpoint");
    // Only now is it known that what lies in the run's folder is this run's.
    if (!flags.train.resume && end.begun) flags.plan.words.push_back("--resume"), flags.train.resume = true;
    // Other machines have lost theirs, too, before they can meet again.
    std::this_thread::sleep_for(std::chrono::seconds(flags.plan.nodes > 1 ? 5 : 1));
  }
}

}  // namespace

void add_launch(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("launch", "train with several processes");
  auto flags = std::make_shared<LaunchFlags>();
  auto& plan = flags->plan;
  constexpr int kMostPorts = 65535;
  command->add_option("--procs", plan.processes, "processes on this machine")
      ->required()
      ->check(within(1, kMostProcesses));
  command
      ->add_option("--restarts", flags->restarts,
                   "how often all are started again, from the newest checkpoint, if one is lost; a start that does "
                   "not finish a step counts double")
      ->check(within(0, 1'000'000))
      ->capture_default_str();
  command
      ->add_option("--stall", plan.stall_seconds,
                   "seconds without any progress after which the run counts as lost; ten times as many before the "
                   "first step is done and while something is loaded, written or measured")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--nodes", plan.nodes, "machines; each starts as many processes")
      ->check(within(1, kMostProcesses))
      ->capture_default_str();
  command->add_option("--node", plan.node, "number of this machine, from 0 on")
      ->check(within(0, kMostProcesses))
      ->capture_default_str();
  command->add_option("--address", plan.address, "of machine 0, by number")->capture_default_str();
  command->add_option("--port", plan.port, "at which machine 0 listens; 0: a free one, for one machine")
      ->check(within(0, kMostPorts))
      ->capture_default_str();
  add_train_flags(*command, flags->train);
  command->callback([flags, &action] {
    action = [flags] {
      if (flags->plan.nodes > 1 && flags->plan.port == 0)
        fail(ErrorKind::config, "--nodes needs a --port that all machines know", "e.g. --port 29500");
      if (flags->plan.node >= flags->plan.nodes)
        fail(ErrorKind::config, fmt::format("--node {} of {} machines", flags->plan.node, flags->plan.nodes),
             "numbers begin at 0");
      return launch(*flags);
    };
  });
}

}  // namespace antiphon::apps
