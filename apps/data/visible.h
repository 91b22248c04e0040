// Text as a terminal can show it without being misled.
#pragma once
#include <string>
#include <string_view>

namespace antiphon::apps {

// Spaces as ·, line ends as ↵ (followed by a line end where `break_lines`), tabs as ⇥; control characters, invisible
// ones and those that turn the direction of writing as \u{…}; bytes that are no UTF-8 as \x…. The result is UTF-8.
std::string visible(std::string_view bytes, bool break_lines);

}  // namespace antiphon::apps
