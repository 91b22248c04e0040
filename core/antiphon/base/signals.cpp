#include <antiphon/base/signals.h>

#include <unistd.h>

#include <atomic>
#include <csignal>

namespace antiphon {
namespace {

std::atomic<int> requested{0};
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int signal) {
  int none = 0;
  if (!requested.compare_exchange_strong(none, signal)) _exit(128 + signal);
}

}  // namespace

void install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
  ::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is then an error of the write, with a name
}

int stop_requested() { return requested.load(); }

}  // namespace antiphon
