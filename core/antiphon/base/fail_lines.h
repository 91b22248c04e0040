// Errors of several lines.
#pragma once
#include <string>
#include <vector>

#include <antiphon/base/error.h>

namespace antiphon {

// fail() takes a message, a context and a fix for one line each: what data may have put into them is escaped and cut,
// as by shown(text, kLineLetters). This is for messages that are lists, each line of which is treated so.
[[noreturn]] void fail_lines(ErrorKind kind, const std::vector<std::string>& lines, std::string fix = {});

// The lines of a message.
std::vector<std::string> lines_of(const Error& error);

}  // namespace antiphon
