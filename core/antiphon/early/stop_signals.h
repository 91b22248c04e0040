// Signals that ask a training to stop, from before its libraries are loaded on.
#pragma once
#include <csignal>

namespace antiphon::early {

inline constexpr int kStopSignals[] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP, SIGQUIT};

// They wait from now on, in the program that this process becomes too.
void hold_stop_signals();
// Those that waited come now, and others at once.
void release_stop_signals();

}  // namespace antiphon::early
