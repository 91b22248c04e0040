// Counts the checks of `antiphon conformance` and prints a line for each.
#pragma once
#include <functional>
#include <string>

#include <fmt/format.h>

namespace antiphon::apps::conformance {

// Thrown by expect(): what was expected and what came instead.
struct Unmet {
  std::string text;
};

template <class... Args>
void expect(bool good, fmt::format_string<Args...> format, Args&&... args) {
  if (!good) throw Unmet{fmt::format(format, std::forward<Args>(args)...)};
}

class Report {
 public:
  void heading(const std::string& text);
  // A check passes if `body` returns. Anything that it throws is a failure, and the next check still runs.
  // True if it passed.
  bool check(const std::string& what, const std::function<void()>& body);
  int passed() const { return passed_; }
  int failed() const { return failed_; }

 private:
  int passed_ = 0, failed_ = 0;
};

}  // namespace antiphon::apps::conformance
