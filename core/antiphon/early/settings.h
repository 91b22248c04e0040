// Settings of libraries that read the environment once, the C library at a program's start and OpenMP's when it is
// loaded: a program that computes nothing makes them before it starts the one that does.
#pragma once

namespace antiphon::early {

// Bounds how long waiting threads spin, limits the threads to the processors of a container's quota, and asks for huge
// pages. What the user has set is kept. True if the environment was changed. `root` as of cpu_quota().
bool settle(const char* root = "");

}  // namespace antiphon::early
