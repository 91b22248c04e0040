// One line on stderr that is rewritten in place; on a pipe or in a log file, an occasional line.
#pragma once
#include <chrono>
#include <mutex>
#include <string_view>

namespace antiphon {

// Guards stderr: progress lines and log messages never interleave.
std::mutex& terminal_mutex();
// Call with terminal_mutex held.
void clear_progress_line();

// Shows `text` at most ten times a second on a terminal, every ten seconds elsewhere; `force` shows it now.
void show_progress(std::string_view text, bool force = false);
// Ends the line, so that the last text stays.
void finish_progress();

}  // namespace antiphon
