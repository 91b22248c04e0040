// Multi-line errors.
#pragma once
#include <string>
#include <vector>

#include <antiphon/base/error.h>

namespace antiphon {

// fail() takes a message, a context and a fix of one line each, escaped and cut as by shown(text, kLineLetters). This
// is for messages that are lists; each line is escaped and cut in the same way.
[[noreturn]] void fail_lines(ErrorKind kind, const std::vector<std::string>& lines, std::string fix = {});

// The lines of a message.
std::vector<std::string> lines_of(const Error& error);

}  // namespace antiphon
