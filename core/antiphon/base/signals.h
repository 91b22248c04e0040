// SIGINT and SIGTERM as a request to stop at the next good moment; a second one ends the process at once.
#pragma once

namespace antiphon {

void install_stop_signals();
// The signal that asked for it, or 0.
int stop_requested();

}  // namespace antiphon
