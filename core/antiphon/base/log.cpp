#include <antiphon/base/log.h>
#include <antiphon/base/progress.h>

#include <atomic>
#include <cstdio>
#include <mutex>

namespace antiphon::log {
namespace {
std::atomic<Level> threshold{Level::info};
constexpr const char* prefixes[] = {"debug: ", "", "warning: ", "error: "};
}  // namespace

void set_level(Level level) { threshold = level; }

void message(Level level, std::string_view text) {
  if (level < threshold.load()) return;
  std::scoped_lock lock(terminal_mutex());
  clear_progress_line();
  std::fprintf(stderr, "%s%.*s\n", prefixes[static_cast<int>(level)], static_cast<int>(text.size()), text.data());
}

}  // namespace antiphon::log
