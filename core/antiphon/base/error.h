// Errors that a person can act on: who, where, expected, got, and how to fix it.
#pragma once
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace antiphon {

// The value is the program's exit code.
enum class ErrorKind {
  internal = 1,
  config = 2,
  data = 3,
  weights = 4,
  plugin = 5,
  distributed = 6,
  memory = 7,
  hardware = 9,  // 8 is not an error: fewer than train.min_steps fit
  preempted = 75,
};

std::string_view to_string(ErrorKind kind);

// The one exception type of the project. `what()` is the full text that a user reads:
// the message, one line for each context (innermost first) and the fix.
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message, std::string fix = {});
  ~Error() override;

  const char* what() const noexcept override { return text_.c_str(); }
  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::string& fix() const { return fix_; }
  // Adds what was being done when the error occurred, e.g. "loading models/x/model.safetensors".
  Error& add_context(std::string context);

 private:
  void compose();
  ErrorKind kind_;
  std::string message_, fix_, text_;
  std::vector<std::string> context_;
};

[[noreturn]] void fail(ErrorKind kind, std::string message, std::string fix = {});

// Runs `body`; an Error that passes through gains the line "while <context>".
template <class Body>
decltype(auto) with_context(std::string_view context, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (Error& error) {
    error.add_context(std::string(context));
    throw;
  }
}

}  // namespace antiphon
