#include <antiphon/early/stop_signals.h>

namespace antiphon::early {
namespace {

sigset_t all() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kStopSignals) sigaddset(&set, signal);
  return set;
}

}  // namespace

void hold_stop_signals() {
  const auto set = all();
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

void release_stop_signals() {
  const auto set = all();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace antiphon::early
