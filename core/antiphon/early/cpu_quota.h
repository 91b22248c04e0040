// How many processors this process may use.
#pragma once
#include <sched.h>

namespace antiphon::early {

// Processors that the cgroups of this process (version 1 or 2, the tightest of all levels) may use, e.g. 1.5; 0: no
// limit, or none that can be read. `root` is prepended to /proc and /sys.
double cpu_quota(const char* root = "");

using Affinity = int (*)(pid_t, size_t, cpu_set_t*);

// The number of processors that this process may run on, at most the quota rounded up; at least 1.
int processors(double quota = cpu_quota(), Affinity affinity = sched_getaffinity);

}  // namespace antiphon::early
