// Settings of the OpenMP library, which reads the environment once, when it is loaded: they are made by a program that
// has not loaded it, before it starts the one that does.
#pragma once

namespace antiphon::early {

// Bounds how long waiting threads spin, and gives a thread to each processor of a container's quota alone. What the
// user set stays. True if the environment was changed.
bool settle_openmp();

}  // namespace antiphon::early
