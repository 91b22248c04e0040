// Single numbers that processes agree on.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <antiphon/comm/group.h>

namespace antiphon::parallel {

// Over a group; nullptr: this process alone.
int64_t largest(int64_t own, comm::Group* group);
double sum(double own, comm::Group* group);
// Those of each process, in their order. All give as many.
std::vector<std::vector<int64_t>> gathered(const std::vector<int64_t>& own, comm::Group& group);
// The text of one process, everywhere.
std::string said_by(int rank, const std::string& own, comm::Group& group);

}  // namespace antiphon::parallel
