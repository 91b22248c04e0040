#include <antiphon/base/log.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/shown.h>

#include <atomic>
#include <cstdio>
#include <mutex>

namespace antiphon::log {
namespace {
std::atomic<Level> threshold{Level::info};
constexpr const char* prefixes[] = {"debug: ", "", "warning: ", "error: "};
}  // namespace

void set_level(Level level) { threshold = level; }

// No text can steer the terminal or pass for another message.
void message(Level level, std::string_view text) {
  if (level < threshold.load()) return;
  const auto line = prefixes[static_cast<int>(level)] + shown_lines(text) + "\n";
  std::scoped_lock lock(terminal_mutex());
  clear_progress_line();
  std::fputs(line.c_str(), stderr);
}

}  // namespace antiphon::log
