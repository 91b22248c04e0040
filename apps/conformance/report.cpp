#include "report.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/standard_streams.h>
#include <antiphon/base/strings.h>

namespace antiphon::apps::conformance {
namespace {

std::string type_of(const std::exception& error) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(typeid(error).name(), nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : typeid(error).name();
}

std::string one_line(const std::string& text) {
  auto lines = split(text, '\n');
  for (auto& line : lines) line = std::string(trim(line));
  return join(lines, "; ");
}

// What went wrong; empty if nothing did.
std::string failure(const std::function<void()>& body) {
  try {
    body();
    return {};
  } catch (const Unmet& unmet) {
    return unmet.text;
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    log::debug(error.what());
    return fmt::format("expected no exception or an antiphon::Error, got a {}; --debug shows its text", type_of(error));
  } catch (...) {
    return "expected no exception or an antiphon::Error, got one of another type";
  }
}

}  // namespace

void Report::heading(const std::string& text) { fmt::print("{}\n", text); }

bool Report::check(const std::string& what, const std::function<void()>& body) {
  const auto problem = failure(body);
  if (problem.empty()) {
    ++passed_;
    fmt::print("  ok    {}\n", what);
  } else {
    ++failed_;
    fmt::print("  FAIL  {}: {}\n", what, one_line(problem));
  }
  push_stdout();  // what was checked is on the screen should the plugin take the process down
  return problem.empty();
}

}  // namespace antiphon::apps::conformance
