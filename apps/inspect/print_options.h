// The table of a component's options, for a person.
#pragma once
#include <antiphon/config/schema.h>

namespace antiphon::apps {

// One line per key, "key = default   what it is (type, range)", as it would stand in TOML; nested tables follow under
// their names.
void print_options(const config::Schema& schema);

}  // namespace antiphon::apps
