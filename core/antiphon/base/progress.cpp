#include <antiphon/base/progress.h>

#include <unistd.h>

#include <cstdio>

#include <antiphon/base/shown.h>

namespace antiphon {
namespace {
using Clock = std::chrono::steady_clock;
bool line_open = false;
Clock::time_point last_shown{};
bool on_terminal() {
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  return terminal;
}
}  // namespace

std::mutex& terminal_mutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

void clear_progress_line() {
  if (line_open) std::fputs("\r\033[K", stderr);
  line_open = false;
}

void show_progress(std::string_view text, bool force) {
  std::scoped_lock lock(terminal_mutex());
  const auto interval = on_terminal() ? std::chrono::milliseconds(100) : std::chrono::seconds(10);
  const auto now = Clock::now();
  if (!force && now - last_shown < interval) return;
  last_shown = now;
  const auto line = shown(text, kLineLetters);
  if (!on_terminal()) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  line_open = true;
}

void finish_progress() {
  std::scoped_lock lock(terminal_mutex());
  if (line_open) std::fputc('\n', stderr);
  line_open = false;
}

}  // namespace antiphon
