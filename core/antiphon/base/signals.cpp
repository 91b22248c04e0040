#include <antiphon/base/signals.h>

#include <fmt/format.h>
#include <unistd.h>

#include <antiphon/base/error.h>
#include <antiphon/early/stop_signals.h>

#include <atomic>
#include <csignal>

namespace antiphon {
namespace {

std::atomic<int> requested{0};
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int signal) {
  int none = 0;
  if (!requested.compare_exchange_strong(none, signal) && signal != SIGHUP) _exit(128 + signal);
}

// Whether the parent, e.g. nohup, had it ignored.
bool stays_ignored(int signal) {
  struct sigaction before {};
  return (signal == SIGHUP || signal == SIGQUIT) && sigaction(signal, nullptr, &before) == 0 &&
         before.sa_handler == SIG_IGN;
}

}  // namespace

void install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
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
