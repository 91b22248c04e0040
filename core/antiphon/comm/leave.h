// How one of several processes ends if it can take part in nothing any more.
#pragma once
#include <string_view>

#include <antiphon/base/error.h>

namespace antiphon::comm {

// Says the error and ends this process with its exit code, at once: what it has begun would wait for the others,
// perhaps through some that wait for it. They get an Error(memory) that says this one's from what they wait in;
// Error(distributed) if it was this process that kept the store at which they met. Without others it throws the error.
[[noreturn]] void leave(const Error& error);

// What the process is doing then (base/beacon.h).
inline constexpr std::string_view kLeaving = "leaving the others";

}  // namespace antiphon::comm
