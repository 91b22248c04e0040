// Settings of the OpenMP library, which reads the environment once, when it is loaded: a program that has not loaded it
// makes them before it starts the one that does.
#pragma once

namespace antiphon::early {

// Bounds how long waiting threads spin, and limits the threads to the processors of a container's quota. What the user
// has set is kept. True if the environment was changed. `root` as of cpu_quota().
bool settle_openmp(const char* root = "");

}  // namespace antiphon::early
