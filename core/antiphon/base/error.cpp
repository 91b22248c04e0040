#include <antiphon/base/error.h>

#include <antiphon/base/fail_lines.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

namespace antiphon {
std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::config: return "config error";
    case ErrorKind::data: return "data error";
    case ErrorKind::weights: return "weights error";
    case ErrorKind::plugin: return "plugin error";
    case ErrorKind::distributed: return "distributed error";
    case ErrorKind::memory: return "out of memory";
    case ErrorKind::hardware: return "wrong computation";
    case ErrorKind::preempted: return "preempted";
    case ErrorKind::internal: break;
  }
  return "internal error";
}

Error::Error(ErrorKind kind, std::string message, std::string fix)
    : kind_(kind), message_(std::move(message)), fix_(std::move(fix)) {
  compose();
}

Error::~Error() = default;

Error& Error::add_context(std::string context) {
  context_.push_back(shown(context, kLineLetters));
  compose();
  return *this;
}

void Error::compose() {
  text_ = message_;
  for (const auto& context : context_) text_ += "\n  while " + context;
  if (!fix_.empty()) text_ += "\n  fix: " + fix_;
}

void fail(ErrorKind kind, std::string message, std::string fix) {
  throw Error(kind, shown(message, kLineLetters), shown(fix, kLineLetters));
}

void fail_lines(ErrorKind kind, const std::vector<std::string>& lines, std::string fix) {
  std::vector<std::string> clean;
  for (const auto& line : lines) clean.push_back(shown(line, kLineLetters));
  throw Error(kind, join(clean, "\n"), shown(fix, kLineLetters));
}

std::vector<std::string> lines_of(const Error& error) { return split(error.message(), '\n'); }

}  // namespace antiphon
