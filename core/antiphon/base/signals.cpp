#include <antiphon/base/signals.h>

#include <fmt/format.h>
#include <unistd.h>

#include <antiphon/base/beacon.h>
#include <antiphon/base/error.h>
#include <antiphon/early/stop_signals.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <ctime>

namespace antiphon {
namespace {

std::atomic<int> requested{0};
static_assert(std::atomic<int>::is_always_lock_free);

std::atomic<int64_t> requested_at{0};  // in seconds
std::atomic<bool> launched{false};

int64_t seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

// Slurm and others send a signal to the launcher and to what it has started; the launcher passes it on, so that it
// comes twice.
bool is_echo() { return launched && (requested_at == 0 || seconds_now() - requested_at <= 2); }

void on_signal(int signal, siginfo_t* info, void*) {
  const bool asked_other = launched && info->si_code == SI_QUEUE && info->si_value.sival_int == kAskedOther;
  int none = 0;
  if (requested.compare_exchange_strong(none, signal))
    requested_at = seconds_now();
  else if (signal != SIGHUP && signal != SIGXCPU && !asked_other && !is_echo())
    _exit(128 + signal);
}

// Whether the parent had it ignored: nohup, or a shell that started it in the background of a script.
bool stays_ignored(int signal) {
  struct sigaction before {};
  return (signal == SIGHUP || signal == SIGQUIT || signal == SIGINT) && sigaction(signal, nullptr, &before) == 0 &&
         before.sa_handler == SIG_IGN;
}

}  // namespace

void install_stop_signals() {
  launched = std::getenv(beacon::kVariable) != nullptr;
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  for (const int signal : early::kStopSignals)
    if (!stays_ignored(signal)) sigaction(signal, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // exceeding a file size limit is then a write error with a name
}

int stop_requested() { return requested.load(); }

void stop_if_requested() {
  if (const int signal = stop_requested())
    fail(ErrorKind::preempted, fmt::format("stopped by signal {} before the first step", signal),
         "start the same command again; with --resume if the run has checkpoints");
}

}  // namespace antiphon
