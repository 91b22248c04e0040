// SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGUSR1 as a request to stop at the next good moment.
#pragma once

namespace antiphon {

// A second signal ends the process at once with 128 + its number; a second SIGHUP does not, since a terminal that goes
// away sends several. What was ignored when the process started (nohup) stays ignored: SIGHUP and SIGQUIT. SIGPIPE is
// ignored from now on, so that a reader of the messages that ends does not end their writer.
void install_stop_signals();
// The signal that asked for it, or 0.
int stop_requested();
// Error(preempted) if there was one: for places that have nothing to lose yet.
void stop_if_requested();

}  // namespace antiphon
