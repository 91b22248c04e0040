// SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGXCPU as a request to stop at the next good moment.
#pragma once

namespace antiphon {

// A second signal ends the process at once with 128 + its number; a second SIGHUP does not, since a closing terminal
// sends several, nor does, in a process of `antiphon launch`, one within two seconds or one sent with kAskedOther.
// SIGHUP and SIGQUIT stay ignored if they were when the process started (nohup). SIGPIPE is ignored from now on, so
// that the process survives the reader of its messages.
void install_stop_signals();
inline constexpr int kAskedOther = 1;  // a signal's value: another process of the run was asked to stop
// The signal that asked to stop, or 0.
int stop_requested();
// Error(preempted) if there was one: for places that have no work to lose yet.
void stop_if_requested();

}  // namespace antiphon
