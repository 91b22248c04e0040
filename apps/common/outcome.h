// How a command ends: what it throws becomes a message for people and the exit code of ErrorKind.
#pragma once
#include <functional>

namespace antiphon::apps {

// The result of `body`, or the code of what it threw. `debug`: also the text of libraries.
int outcome_of(const std::function<int()>& body, const bool& debug);

}  // namespace antiphon::apps
