// Whether the processes of a group do the same.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <antiphon/comm/group.h>

namespace antiphon::parallel {

// What must be equal in all processes, by name: {"the configuration", its text}. All give the same names.
using Facts = std::vector<std::pair<std::string, std::string>>;

// Of a text, to be compared with others'.
int64_t hash_of(const std::string& text);

// Error(config) in every process, naming what differs and who has something else than process 0.
void check_same(comm::Group& group, const Facts& facts);

}  // namespace antiphon::parallel
