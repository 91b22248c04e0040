// Names that files are called by, and that stand in tables that a person reads.
#pragma once
#include <string>
#include <string_view>

namespace antiphon {

// Whether a name of a stream, a stage or a held-out set is one: not empty, not longer than 100 bytes, without '/' and
// hidden characters, and not beginning with '.'.
bool is_plain_name(std::string_view name);
// How to mend one.
std::string plain_name_rule();

}  // namespace antiphon
