// How a command ends: what it throws becomes a message for people and the exit code of ErrorKind.
#pragma once
#include <exception>
#include <functional>

namespace antiphon::apps {

// The result of `body`, or the code of what it threw. `debug`: also the text of libraries. `out_of_memory`: whether an
// exception of a library says that there is no more.
int outcome_of(const std::function<int()>& body, const bool& debug, bool (*out_of_memory)(const std::exception&));

// From then on a want of memory that libraries do not let through (std::filesystem, the parser of TOML) ends the
// program with these words and this code, too, and not as a crash.
void expect_no_memory();

}  // namespace antiphon::apps
