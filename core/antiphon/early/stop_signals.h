// Signals that ask a training run to stop, handled from before its libraries are loaded.
#pragma once
#include <csignal>

namespace antiphon::early {

inline constexpr int kStopSignals[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP, SIGQUIT, SIGXCPU};

// Blocks them from now on, also in the program that this process becomes.
void hold_stop_signals();
// Unblocks them: pending ones are delivered now.
void release_stop_signals();

}  // namespace antiphon::early
