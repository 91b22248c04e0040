// Names that files are called by, and that stand in tables that a person reads.
#pragma once
#include <string>
#include <string_view>

namespace antiphon {

// Whether a person can read it in a line: not empty, not longer than 100 bytes, without hidden characters.
bool is_readable_name(std::string_view name);
// Whether a file can be called so, too: without '/', and not beginning with '.'.
bool is_file_name(std::string_view name);
// How to mend one that is not.
std::string name_rule();

}  // namespace antiphon
